//! What the server offers, as it tells the client.

use lsp_types::InitializeParams;
use serde_json::{Value, json};

use super::position::Encoding;
use crate::features::tokens::KINDS;

/// The encoding of positions that client and server agree on.
pub(super) fn encoding(client: &InitializeParams) -> Encoding {
    let general = client.capabilities.general.as_ref();
    Encoding::choose(general.and_then(|general| general.position_encodings.as_deref()))
}

/// Whether the client asks for findings itself.
pub(super) fn pulls(client: &InitializeParams) -> bool {
    client.capabilities.text_document.as_ref().is_some_and(|text| text.diagnostic.is_some())
}

/// The answer to `initialize`. Written as the protocol has it: the types of the library are a longer way to say the same.
pub(super) fn answer(client: &InitializeParams) -> Value {
    let kinds: Vec<&str> = KINDS.iter().map(|(_, name)| *name).collect();
    json!({
        "capabilities": {
            "positionEncoding": encoding(client).kind(),
            "textDocumentSync": {"openClose": true, "change": 2, "save": true},
            "completionProvider": {"triggerCharacters": ["-", "=", ",", "$", "{", "/", "<"]},
            "hoverProvider": true,
            "signatureHelpProvider": {"triggerCharacters": [" "]},
            "definitionProvider": true,
            "declarationProvider": true,
            "referencesProvider": true,
            "documentHighlightProvider": true,
            "documentSymbolProvider": true,
            "workspaceSymbolProvider": true,
            "renameProvider": {"prepareProvider": true},
            "foldingRangeProvider": true,
            "selectionRangeProvider": true,
            "documentFormattingProvider": true,
            "documentRangeFormattingProvider": true,
            "documentOnTypeFormattingProvider": {"firstTriggerCharacter": "\n"},
            "codeActionProvider": {
                "codeActionKinds": ["quickfix", "refactor.rewrite", "refactor.extract", "source.fixAll"]
            },
            "callHierarchyProvider": true,
            "codeLensProvider": {},
            "inlayHintProvider": true,
            "documentLinkProvider": {},
            "semanticTokensProvider": {
                "legend": {"tokenTypes": kinds, "tokenModifiers": ["definition"]},
                "full": {"delta": true},
                "range": true
            },
            "diagnosticProvider": {
                "identifier": "llbc",
                "interFileDependencies": false,
                "workspaceDiagnostics": false
            },
            "workspace": {"workspaceFolders": {"supported": true, "changeNotifications": true}}
        },
        "serverInfo": {"name": "llbc", "version": env!("CARGO_PKG_VERSION")}
    })
}
