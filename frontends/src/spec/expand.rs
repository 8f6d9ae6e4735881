//! `llbc expand`: the file with its presets written out as plain stages; comments and everything else stay.

use ast::Diagnostic;
use toml_edit::{DocumentMut, Item, Table};

use super::preset;
use super::read::{Reader, Text};
use crate::Input;

/// The text without presets; it means the same.
///
/// **Errors**: what is wrong with the text, as parsing it says.
pub(super) fn expand(input: &Input<'_>) -> Result<String, Vec<Diagnostic>> {
    let Ok(text) = std::str::from_utf8(input.bytes) else { return Err(super::parse(input).diagnostics) };
    let mut reader = Reader::new(input.file, None);
    let spec = super::read(text, &mut reader);
    if !reader.diagnostics.is_empty() {
        return Err(reader.diagnostics);
    }
    let Ok(mut document) = text.parse::<DocumentMut>() else { return Err(reader.diagnostics) };
    for (name, image) in spec.images() {
        let Some(made) = preset::text(&name.value, image) else { continue };
        let Ok(made) = made.parse::<DocumentMut>() else { continue };
        write_out(&mut document, &made, name);
    }
    Ok(document.to_string())
}

fn write_out(document: &mut DocumentMut, made: &DocumentMut, name: &Text) {
    let usual = made.get("image").and_then(|images| images.get(&name.value)).and_then(Item::as_table);
    let image = document.get_mut("image").and_then(|images| images.get_mut(&name.value));
    if let (Some(usual), Some(image)) = (usual, image.and_then(Item::as_table_like_mut)) {
        for key in preset::KEYS {
            image.remove(key);
        }
        for (key, value) in usual.iter().filter(|(_, value)| !value.is_none()) {
            if image.get(key).is_none() {
                image.insert(key, value.clone());
            }
        }
    }
    let Some(stages) = made.get("stage").and_then(Item::as_table) else { return };
    let implicit = || {
        let mut table = Table::new();
        table.set_implicit(true);
        Item::Table(table)
    };
    let all = document.entry("stage").or_insert_with(implicit);
    for (stage, value) in stages.iter() {
        if let Some(all) = all.as_table_like_mut() {
            let mut value = value.clone();
            after_everything(&mut value);
            all.insert(stage, value);
        }
    }
}

/// New tables go to the end: those of a parsed document remember where they stood in another.
fn after_everything(item: &mut Item) {
    match item {
        Item::Table(table) => {
            table.set_position(None);
            table.iter_mut().for_each(|(_, value)| after_everything(value));
        }
        Item::ArrayOfTables(tables) => {
            for table in tables.iter_mut() {
                table.set_position(None);
                table.iter_mut().for_each(|(_, value)| after_everything(value));
            }
        }
        Item::None | Item::Value(_) => {}
    }
}
