//! Functions that give something else each time, `timestamp` and `uuidv4`: a call is written out as what it gives this time.
//!
//! What it gives depends on the place of the call alone for as long as the program runs, so that a file that is read several
//! times says the same. Combinations of a matrix have one value, where bake has one each.

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use hcl::Expression;
use oci::Time;
use sha2::{Digest as _, Sha256};

use super::read::Block;
use super::walk::walk;

/// Writes out all calls, and names the functions that are called.
pub(super) fn write_out(blocks: &mut [Block]) -> Result<Vec<&'static str>, String> {
    let mut called = Vec::new();
    blocks.iter_mut().flat_map(Block::expressions).try_for_each(|expression| {
        walk(expression, &mut |part| {
            let Expression::FuncCall(call) = part else { return Ok(()) };
            let (name, value) = match call.name.name.as_str() {
                "timestamp" => ("timestamp", timestamp()),
                "uuidv4" => ("uuidv4", uuid(called.len())?),
                _ => return Ok(()),
            };
            if !call.args.is_empty() {
                return Err(format!("{name}: it takes no arguments"));
            }
            called.push(name);
            *part = Expression::String(value);
            Ok(())
        })
    })?;
    Ok(called)
}

/// The time of this build, as RFC 3339 writes it.
fn timestamp() -> String {
    static NOW: OnceLock<i64> = OnceLock::new();
    let now = || {
        let epoch = std::env::var("SOURCE_DATE_EPOCH").ok().and_then(|epoch| epoch.parse().ok());
        let since = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        epoch.unwrap_or_else(|| i64::try_from(since()).unwrap_or_default())
    };
    Time::from_unix(*NOW.get_or_init(now), 0).to_string()
}

/// A random UUID of version 4, one for each number.
fn uuid(number: usize) -> Result<String, String> {
    static RANDOM: OnceLock<Option<String>> = OnceLock::new();
    let random = RANDOM.get_or_init(|| std::fs::read_to_string("/proc/sys/kernel/random/uuid").ok());
    let random = random.as_ref().ok_or("uuidv4: this machine has no random numbers")?;
    let mut bytes = Sha256::digest(format!("{number} {random}"));
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex: String = bytes[..16].iter().map(|byte| format!("{byte:02x}")).collect();
    Ok([&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-"))
}
