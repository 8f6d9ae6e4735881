//! From what features give to what the protocol has.

use ast::{Diagnostic, Edit, Severity, Span};
use lsp_types as lsp;

use super::documents::Document;
use crate::features::{completion, folding, symbols, tokens};

/// A document's places as the protocol counts them.
#[derive(Clone, Copy)]
pub(super) struct Places<'d> {
    document: &'d Document,
}

impl<'d> Places<'d> {
    pub(super) fn new(document: &'d Document) -> Self {
        Self { document }
    }

    pub(super) fn range(self, span: Span) -> lsp::Range {
        self.document.lines.range(&self.document.text, span)
    }

    pub(super) fn position(self, offset: u32) -> lsp::Position {
        self.document.lines.position(&self.document.text, offset)
    }

    pub(super) fn location(self, span: Span) -> lsp::Location {
        lsp::Location { uri: self.document.uri.clone(), range: self.range(span) }
    }

    pub(super) fn edit(self, edit: Edit) -> lsp::TextEdit {
        lsp::TextEdit { range: self.range(edit.span), new_text: edit.text }
    }

    pub(super) fn edits(self, edits: Vec<Edit>) -> Vec<lsp::TextEdit> {
        edits.into_iter().map(|edit| self.edit(edit)).collect()
    }

    /// Edits of this document as a change of the workspace, for this version alone.
    pub(super) fn change(self, edits: Vec<Edit>) -> lsp::WorkspaceEdit {
        let document = lsp::OptionalVersionedTextDocumentIdentifier {
            uri: self.document.uri.clone(),
            version: Some(self.document.version),
        };
        let edits = self.edits(edits).into_iter().map(lsp::OneOf::Left).collect();
        let changes = vec![lsp::TextDocumentEdit { text_document: document, edits }];
        lsp::WorkspaceEdit { document_changes: Some(lsp::DocumentChanges::Edits(changes)), ..Default::default() }
    }

    pub(super) fn diagnostic(self, found: &Diagnostic) -> lsp::Diagnostic {
        // Primitives stand in a file that no editor has.
        let here = found.also.iter().filter(|label| label.span.file == ast::FileId(0));
        let related = here.map(|label| lsp::DiagnosticRelatedInformation {
            location: self.location(label.span),
            message: label.message.clone(),
        });
        let related: Vec<_> = related.collect();
        let message = match &found.help {
            Some(help) => format!("{}\nhelp: {help}", found.message),
            None => found.message.clone(),
        };
        let start = lsp::Position::default();
        let tags = (found.code == "MaintainerDeprecated").then(|| vec![lsp::DiagnosticTag::DEPRECATED]);
        lsp::Diagnostic {
            range: found.at.map_or(lsp::Range { start, end: start }, |span| self.range(visible(self.document, span))),
            severity: Some(severity(found.severity)),
            code: Some(lsp::NumberOrString::String(found.code.to_owned())),
            code_description: found.url.and_then(|url| Some(lsp::CodeDescription { href: url.parse().ok()? })),
            source: Some("llbc".to_owned()),
            message,
            related_information: (!related.is_empty()).then_some(related),
            tags,
            data: None,
        }
    }

    pub(super) fn symbol(self, item: symbols::Item) -> lsp::DocumentSymbol {
        let children: Vec<_> = item.children.into_iter().map(|child| self.symbol(child)).collect();
        #[allow(deprecated, reason = "the type has no other constructor")]
        lsp::DocumentSymbol {
            name: item.name,
            detail: (!item.detail.is_empty()).then_some(item.detail),
            kind: symbol_kind(item.kind),
            tags: None,
            deprecated: None,
            range: self.range(item.span),
            selection_range: self.range(item.select),
            children: (!children.is_empty()).then_some(children),
        }
    }

    pub(super) fn item(self, item: completion::Item) -> lsp::CompletionItem {
        let text = item.insert.unwrap_or_else(|| item.label.clone());
        let edit = lsp::TextEdit { range: self.range(item.span), new_text: text };
        let more = lsp::Command {
            title: "more".to_owned(),
            command: "editor.action.triggerSuggest".to_owned(),
            arguments: None,
        };
        lsp::CompletionItem {
            label: item.label,
            kind: Some(item_kind(item.kind)),
            detail: (!item.detail.is_empty()).then_some(item.detail),
            documentation: (!item.doc.is_empty()).then(|| lsp::Documentation::MarkupContent(markdown(item.doc))),
            text_edit: Some(lsp::CompletionTextEdit::Edit(edit)),
            command: item.more.then_some(more),
            ..Default::default()
        }
    }

    /// Tokens with places relative to those before them.
    pub(super) fn tokens(self, found: &[tokens::Token]) -> Vec<lsp::SemanticToken> {
        let mut last = lsp::Position::default();
        let mut out = Vec::with_capacity(found.len());
        for token in found {
            let at = self.document.lines.position_after(&self.document.text, token.span.start, last.line);
            let delta_line = at.line - last.line;
            let delta_start = if delta_line == 0 { at.character - last.character } else { at.character };
            last = at;
            out.push(lsp::SemanticToken {
                delta_line,
                delta_start,
                length: self.document.lines.width(&self.document.text, token.span),
                token_type: token.kind as u32,
                token_modifiers_bitset: u32::from(token.defines),
            });
        }
        out
    }
}

/// The span without line ends at its end, and not empty where there is something to show.
fn visible(document: &Document, span: Span) -> Span {
    let text = document.text.get(span.start as usize..span.end as usize).unwrap_or_default();
    let end = span.start + text.trim_end_matches(['\r', '\n']).len() as u32;
    Span { end: end.max(span.start), ..span }
}

pub(super) fn markdown(text: impl Into<String>) -> lsp::MarkupContent {
    lsp::MarkupContent { kind: lsp::MarkupKind::Markdown, value: text.into() }
}

fn severity(severity: Severity) -> lsp::DiagnosticSeverity {
    match severity {
        Severity::Error => lsp::DiagnosticSeverity::ERROR,
        Severity::Warning => lsp::DiagnosticSeverity::WARNING,
        Severity::Info => lsp::DiagnosticSeverity::INFORMATION,
    }
}

pub(super) fn symbol_kind(kind: symbols::ItemKind) -> lsp::SymbolKind {
    match kind {
        symbols::ItemKind::Stage => lsp::SymbolKind::CLASS,
        symbols::ItemKind::Function => lsp::SymbolKind::FUNCTION,
        symbols::ItemKind::Step => lsp::SymbolKind::METHOD,
        symbols::ItemKind::Variable => lsp::SymbolKind::VARIABLE,
    }
}

fn item_kind(kind: completion::ItemKind) -> lsp::CompletionItemKind {
    use completion::ItemKind;
    match kind {
        ItemKind::Keyword => lsp::CompletionItemKind::KEYWORD,
        ItemKind::Function => lsp::CompletionItemKind::FUNCTION,
        ItemKind::Property => lsp::CompletionItemKind::PROPERTY,
        ItemKind::Value => lsp::CompletionItemKind::ENUM_MEMBER,
        ItemKind::Stage => lsp::CompletionItemKind::CLASS,
        ItemKind::Image => lsp::CompletionItemKind::MODULE,
        ItemKind::Variable => lsp::CompletionItemKind::VARIABLE,
        ItemKind::File => lsp::CompletionItemKind::FILE,
        ItemKind::Folder => lsp::CompletionItemKind::FOLDER,
        ItemKind::Rule => lsp::CompletionItemKind::CONSTANT,
    }
}

pub(super) fn fold(fold: folding::Fold) -> lsp::FoldingRange {
    let kind = match fold.kind {
        folding::FoldKind::Code => None,
        folding::FoldKind::Comment => Some(lsp::FoldingRangeKind::Comment),
        folding::FoldKind::Region => Some(lsp::FoldingRangeKind::Region),
    };
    lsp::FoldingRange { start_line: fold.first - 1, end_line: fold.last - 1, kind, ..Default::default() }
}
