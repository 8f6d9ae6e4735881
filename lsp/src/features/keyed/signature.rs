//! The keys that the table takes in which something is being written, and which of them it is.

use super::super::signature::{Form, Signature};
use crate::file::View;
use crate::keyed::{Place, expected};

/// The table in braces around the cursor; elsewhere completion tells the same.
pub(in super::super) fn signature(view: &View<'_>, offset: u32) -> Option<Signature> {
    let (_, grammar) = view.file.keyed()?;
    let spot = expected(view.file, offset)?;
    let (path, active) = match &spot.place {
        Place::Key { path, inline: true, .. } => (&path[..], None),
        Place::Value { path, .. } if path.len() > 2 => {
            let (key, path) = path.split_last()?;
            (path, Some(key.as_str()))
        }
        _ => return None,
    };
    let words: Vec<&str> = path.iter().map(String::as_str).collect();
    let table = grammar.at(&words)?.inside(grammar)?;
    let mut label = format!("{} {{ ", table.name);
    let mut parameters = Vec::new();
    for (number, field) in table.keys.iter().enumerate() {
        label += if number == 0 { "" } else { ", " };
        let start = label.len() as u32;
        label += &field.name;
        parameters.push(start..label.len() as u32);
    }
    label += " }";
    let active = active.and_then(|key| table.keys.iter().position(|field| field.name == key));
    let doc = active.map_or(&table.doc, |at| &table.keys[at].doc).clone();
    Some(Signature { forms: vec![Form { label, parameters, active }], doc, active: 0 })
}
