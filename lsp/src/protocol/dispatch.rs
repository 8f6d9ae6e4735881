//! Requests: which feature answers which.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use ast::Span;
use lsp_server::{ErrorCode, Request};
use lsp_types as lsp;
use lsp_types::request::{self, Request as _};
use serde_json::{Value, json};

use super::convert::{self, Places, markdown};
use super::documents::{Document, uri_of};
use super::interrupts::Errand;
use super::server::{Event, Failure, Server};
use super::wire::Outgoing;
use super::workspace::{self, Around};
use crate::features::{
    actions, completion, folding, formatting, functions, hover, inlay, lens, links, navigation, rename, selection,
    signature, symbols, tokens,
};
use crate::{File, Role, View};

/// The result of a request as JSON; `None` when it is answered later.
type Answer = Result<Option<String>, Failure>;

/// The document that a request tells about as a whole, if it is one of those that clients make again after a change.
pub(super) fn tells_of(request: &Request) -> Option<String> {
    let is_repeated = [
        request::SemanticTokensFullRequest::METHOD,
        request::SemanticTokensFullDeltaRequest::METHOD,
        request::SemanticTokensRangeRequest::METHOD,
        request::InlayHintRequest::METHOD,
        request::DocumentDiagnosticRequest::METHOD,
    ];
    is_repeated.contains(&request.method.as_str()).then(|| key(&request.params))
}

/// Answers a request.
pub(super) fn request(server: &mut Server, request: Request) -> Answer {
    let Request { method, params, id } = request;
    match method.as_str() {
        request::HoverRequest::METHOD => at(server, params, |asked| {
            let found = hover::hover(&asked.view, asked.offset)?;
            let range = Some(asked.places.range(found.span));
            Some(lsp::Hover { contents: lsp::HoverContents::Markup(markdown(found.text)), range })
        }),
        request::Completion::METHOD => completions(server, params),
        request::SignatureHelpRequest::METHOD => at(server, params, signature_help),
        request::GotoDefinition::METHOD => at(server, params, |asked| {
            let found = navigation::definition(&asked.view, asked.offset);
            found.into_iter().map(|span| asked.places.location(span)).collect::<Vec<_>>()
        }),
        request::GotoDeclaration::METHOD => at(server, params, |asked| {
            navigation::declaration(&asked.view, asked.offset).map(|span| asked.places.location(span))
        }),
        request::References::METHOD => {
            let declarations = params["context"]["includeDeclaration"].as_bool().unwrap_or(true);
            at(server, params, |asked| {
                let found = navigation::references(&asked.view, asked.offset, declarations);
                found.into_iter().map(|span| asked.places.location(span)).collect::<Vec<_>>()
            })
        }
        request::DocumentHighlightRequest::METHOD => at(server, params, highlights),
        request::PrepareRenameRequest::METHOD => {
            at(server, params, |asked| rename::prepare(&asked.view, asked.offset).map(|span| asked.places.range(span)))
        }
        request::Rename::METHOD => {
            let name = params["newName"].as_str().unwrap_or_default().to_owned();
            try_at(server, params, |asked| {
                let edits = rename::rename(&asked.view, asked.offset, &name);
                let edits = edits.map_err(|why| Failure::new(ErrorCode::RequestFailed, why))?;
                Ok(asked.places.change(edits))
            })
        }
        request::DocumentSymbolRequest::METHOD => of(server, params, |asked| {
            symbols::outline(asked.view.file).into_iter().map(|item| asked.places.symbol(item)).collect::<Vec<_>>()
        }),
        request::FoldingRangeRequest::METHOD => of(server, params, |asked| {
            folding::folds(asked.view.file).into_iter().map(convert::fold).collect::<Vec<_>>()
        }),
        request::SelectionRangeRequest::METHOD => {
            let positions: Vec<lsp::Position> = parse(params["positions"].clone())?;
            of(server, params, |asked| positions.iter().map(|at| selected(asked, *at)).collect::<Vec<_>>())
        }
        request::SemanticTokensFullRequest::METHOD => semantic_tokens(server, params),
        request::SemanticTokensFullDeltaRequest::METHOD => semantic_tokens_delta(server, params),
        request::SemanticTokensRangeRequest::METHOD => in_range(server, params, |asked, range| {
            let data = asked.places.tokens(&tokens::tokens(asked.view.file, range));
            lsp::SemanticTokens { result_id: None, data }
        }),
        request::Formatting::METHOD => {
            of(server, params, |asked| asked.places.edits(formatting::format(asked.view.file)))
        }
        request::RangeFormatting::METHOD => {
            let range: lsp::Range = parse(params["range"].clone())?;
            of(server, params, |asked| {
                let file = asked.view.file;
                let line = |position| file.lines().line(asked.offset_of(position));
                // A selection up to the start of a line does not mean that line.
                let last =
                    line(range.end).saturating_sub(u32::from(range.end.character == 0 && range.end > range.start));
                asked.places.edits(formatting::format_lines(file, line(range.start), last))
            })
        }
        request::OnTypeFormatting::METHOD => at(server, params, |asked| {
            let line = asked.view.file.lines().line(asked.offset);
            asked.places.edits(formatting::format_typed(asked.view.file, line))
        }),
        request::CallHierarchyPrepare::METHOD => at(server, params, |asked| {
            functions::prepare(&asked.view, asked.offset).map(|function| vec![hierarchy_item(asked, function)])
        }),
        request::CallHierarchyIncomingCalls::METHOD => calls(server, &params, functions::incoming, "from"),
        request::CallHierarchyOutgoingCalls::METHOD => calls(server, &params, functions::outgoing, "to"),
        request::CodeActionRequest::METHOD => code_actions(server, params),
        request::CodeLensRequest::METHOD => code_lenses(server, params),
        request::InlayHintRequest::METHOD => inlay_hints(server, params),
        request::DocumentLinkRequest::METHOD => of(server, params, document_links),
        request::DocumentDiagnosticRequest::METHOD => diagnostics(server, params),
        request::WorkspaceSymbolRequest::METHOD => {
            let query = params["query"].as_str().unwrap_or_default().to_lowercase();
            let (folders, events, errand) = (server.folders.clone(), server.events.clone(), server.errand.clone());
            // Looking through folders may take a while: nobody waits for it but who asked.
            std::thread::spawn(move || {
                let result = workspace_symbols(&folders, &query, &errand);
                let answer = match errand.is_cancelled() {
                    true => Outgoing::refusal(id.clone(), ErrorCode::RequestCanceled, "cancelled"),
                    false => Outgoing::Result { id: id.clone(), json: result.to_string() },
                };
                errand.interrupts.answered(&id);
                let _ = events.send(Event::Answered(answer));
            });
            Ok(None)
        }
        // For tests and reports of errors: the text as the server has it.
        "llbc/text" => of(server, params, |asked| asked.view.file.text().to_owned()),
        _ => Err(Failure::new(ErrorCode::MethodNotFound, format!("{method} is not supported"))),
    }
}

/// A document that something is asked about.
struct Asked<'a> {
    view: View<'a>,
    places: Places<'a>,
    document: &'a Document,
    offset: u32,
}

impl Asked<'_> {
    fn offset_of(&self, position: lsp::Position) -> u32 {
        self.document.lines.offset(&self.document.text, position)
    }
}

fn parse<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Failure> {
    serde_json::from_value(value).map_err(|error| Failure::new(ErrorCode::InvalidParams, error.to_string()))
}

fn key(params: &Value) -> String {
    params["textDocument"]["uri"].as_str().unwrap_or_default().to_owned()
}

fn document<'s>(server: &'s mut Server, params: &Value) -> Result<(&'s mut Document, Rc<File>), Failure> {
    let key = key(params);
    let document = server.documents.get_mut(&key);
    let document = document.ok_or_else(|| {
        Failure::new(ErrorCode::InvalidParams, format!("{key} is not open here, or in a language that is not known"))
    })?;
    let file = document.file();
    Ok((document, file))
}

fn value(result: impl serde::Serialize) -> Answer {
    let result = serde_json::to_string(&result);
    result.map(Some).map_err(|error| Failure::new(ErrorCode::InternalError, error.to_string()))
}

fn with<R>(server: &mut Server, params: &Value, work: impl FnOnce(&Asked<'_>) -> R) -> Result<R, Failure> {
    let (outside, tags, errand) = (server.outside.clone(), server.tags.clone(), server.errand.clone());
    let (document, file) = document(server, params)?;
    let surroundings = Around { outside: &*outside, place: &document.place, tags: &tags };
    let stopped = || errand.is_over();
    let view = View {
        file: &file,
        options: &document.options,
        facts: &document.facts,
        surroundings: &surroundings,
        stopped: &stopped,
    };
    let position = parse::<Option<lsp::Position>>(params["position"].clone())?.unwrap_or_default();
    let offset = document.lines.offset(&document.text, position);
    Ok(work(&Asked { view, places: Places::new(document), document, offset }))
}

/// Asks about a document.
fn of<R: serde::Serialize>(server: &mut Server, params: Value, work: impl FnOnce(&Asked<'_>) -> R) -> Answer {
    value(with(server, &params, work)?)
}

/// Asks about a position in a document.
fn at<R: serde::Serialize>(server: &mut Server, params: Value, work: impl FnOnce(&Asked<'_>) -> R) -> Answer {
    of(server, params, work)
}

fn try_at<R: serde::Serialize>(
    server: &mut Server,
    params: Value,
    work: impl FnOnce(&Asked<'_>) -> Result<R, Failure>,
) -> Answer {
    value(with(server, &params, work)??)
}

/// Asks about a range of a document.
fn in_range<R: serde::Serialize>(
    server: &mut Server,
    params: Value,
    work: impl FnOnce(&Asked<'_>, Span) -> R,
) -> Answer {
    let range: lsp::Range = parse(params["range"].clone())?;
    of(server, params, |asked| {
        let span = asked.document.lines.span(&asked.document.text, range);
        work(asked, span)
    })
}

/// What is asked of registries on the way is there for the next key: the client is told to ask again.
fn completions(server: &mut Server, params: Value) -> Answer {
    let items = with(server, &params, |asked| {
        let items = completion::complete(&asked.view, asked.offset);
        items.into_iter().map(|item| asked.places.item(item)).collect::<Vec<_>>()
    })?;
    let mut tags = server.tags.borrow_mut();
    tags.ask(&server.outside, &server.events);
    value(lsp::CompletionList { is_incomplete: tags.is_waiting(), items })
}

fn signature_help(asked: &Asked<'_>) -> Option<lsp::SignatureHelp> {
    let found = signature::signature(&asked.view, asked.offset)?;
    // Labels are ASCII: their bytes are their columns in any encoding.
    let form = |form: &signature::Form| lsp::SignatureInformation {
        label: form.label.clone(),
        documentation: Some(lsp::Documentation::MarkupContent(markdown(found.doc.clone()))),
        parameters: Some(
            form.parameters
                .iter()
                .map(|range| lsp::ParameterInformation {
                    label: lsp::ParameterLabel::LabelOffsets([range.start, range.end]),
                    documentation: None,
                })
                .collect(),
        ),
        active_parameter: form.active.map(|active| active as u32),
    };
    let active = found.forms[found.active].active.map(|active| active as u32);
    Some(lsp::SignatureHelp {
        signatures: found.forms.iter().map(form).collect(),
        active_signature: Some(found.active as u32),
        active_parameter: active,
    })
}

fn highlights(asked: &Asked<'_>) -> Vec<lsp::DocumentHighlight> {
    let kind = |role: Role| match role {
        Role::Reference => lsp::DocumentHighlightKind::READ,
        Role::Declaration | Role::Definition => lsp::DocumentHighlightKind::WRITE,
    };
    let found = navigation::highlights(&asked.view, asked.offset);
    let highlight = |(span, role)| lsp::DocumentHighlight { range: asked.places.range(span), kind: Some(kind(role)) };
    found.into_iter().map(highlight).collect()
}

fn selected(asked: &Asked<'_>, position: lsp::Position) -> lsp::SelectionRange {
    let offset = asked.offset_of(position);
    let ranges = selection::ranges(&asked.view, offset);
    let outer = ranges.into_iter().rev().fold(None, |parent, span| {
        Some(lsp::SelectionRange { range: asked.places.range(span), parent: parent.map(Box::new) })
    });
    let here = lsp::Range { start: position, end: position };
    outer.unwrap_or(lsp::SelectionRange { range: here, parent: None })
}

fn all_tokens(asked: &Asked<'_>) -> Vec<lsp::SemanticToken> {
    let whole = Span::new(ast::FileId(0), 0, asked.document.text.len() as u32);
    asked.places.tokens(&tokens::tokens(asked.view.file, whole))
}

fn semantic_tokens(server: &mut Server, params: Value) -> Answer {
    let data = with(server, &params, all_tokens)?;
    let id = keep_tokens(server, &params, data.clone())?;
    value(lsp::SemanticTokens { result_id: Some(id), data })
}

fn keep_tokens(server: &mut Server, params: &Value, data: Vec<lsp::SemanticToken>) -> Result<String, Failure> {
    let (document, _) = document(server, params)?;
    let id = document.tokens.as_ref().map_or(0, |(id, _)| id + 1);
    document.tokens = Some((id, data));
    Ok(id.to_string())
}

/// The tokens as one replacement in the middle of those the client has.
fn semantic_tokens_delta(server: &mut Server, params: Value) -> Answer {
    let data = with(server, &params, all_tokens)?;
    let (document, _) = document(server, &params)?;
    let has = params["previousResultId"].as_str().unwrap_or_default();
    let old = document.tokens.take().filter(|(id, _)| id.to_string() == has);
    let next = old.as_ref().map_or(0, |(id, _)| id + 1);
    document.tokens = Some((next, data.clone()));
    let Some((_, old)) = old else {
        return value(lsp::SemanticTokens { result_id: Some(next.to_string()), data });
    };
    let head = old.iter().zip(&data).take_while(|(a, b)| a == b).count();
    let tail = old[head..].iter().rev().zip(data[head..].iter().rev()).take_while(|(a, b)| a == b).count();
    let new = data[head..data.len() - tail].to_vec();
    let removed = old.len() - tail - head;
    // A token is five numbers, and numbers are what is counted.
    let edit = lsp::SemanticTokensEdit { start: 5 * head as u32, delete_count: 5 * removed as u32, data: Some(new) };
    let edits = if removed == 0 && head + tail == data.len() { Vec::new() } else { vec![edit] };
    value(lsp::SemanticTokensDelta { result_id: Some(next.to_string()), edits })
}

fn hierarchy_item(asked: &Asked<'_>, function: functions::Function) -> lsp::CallHierarchyItem {
    lsp::CallHierarchyItem {
        name: function.name,
        kind: lsp::SymbolKind::FUNCTION,
        tags: None,
        detail: None,
        uri: asked.document.uri.clone(),
        range: asked.places.range(function.span),
        selection_range: asked.places.range(function.select),
        data: None,
    }
}

/// The calls to or from the function of an item; `end` is what the protocol calls the other function.
fn calls(server: &mut Server, params: &Value, links: fn(&View<'_>, u32) -> Vec<functions::Link>, end: &str) -> Answer {
    let item: lsp::CallHierarchyItem = parse(params["item"].clone())?;
    let params = json!({"textDocument": {"uri": item.uri}, "position": item.selection_range.start});
    at(server, params, |asked| {
        let link = |link: functions::Link| {
            let places: Vec<_> = link.places.into_iter().map(|span| asked.places.range(span)).collect();
            json!({end: hierarchy_item(asked, link.function), "fromRanges": places})
        };
        links(&asked.view, asked.offset).into_iter().map(link).collect::<Vec<_>>()
    })
}

fn code_actions(server: &mut Server, params: Value) -> Answer {
    let errand = server.errand.clone();
    server.find(&key(&params), &errand);
    let only: Option<Vec<lsp::CodeActionKind>> = parse(params["context"]["only"].clone())?;
    let wanted = |kind: &lsp::CodeActionKind| {
        let is_below = |wanted: &lsp::CodeActionKind| {
            kind.as_str() == wanted.as_str() || kind.as_str().starts_with(&format!("{}.", wanted.as_str()))
        };
        only.as_ref().is_none_or(|only| only.iter().any(is_below))
    };
    in_range(server, params, |asked, range| {
        let findings = asked.document.findings.clone().unwrap_or_default();
        let found = actions::actions(&asked.view, range, &findings).into_iter();
        let action = |action: actions::Action| lsp::CodeAction {
            title: action.title,
            kind: Some(action_kind(action.kind)),
            diagnostics: action.mends.map(|number| vec![asked.places.diagnostic(&findings[number])]),
            edit: Some(asked.places.change(action.edits)),
            is_preferred: action.preferred.then_some(true),
            ..Default::default()
        };
        found.map(action).filter(|action| action.kind.as_ref().is_none_or(wanted)).collect::<Vec<_>>()
    })
}

fn action_kind(kind: actions::Kind) -> lsp::CodeActionKind {
    match kind {
        actions::Kind::Fix => lsp::CodeActionKind::QUICKFIX,
        actions::Kind::FixAll => lsp::CodeActionKind::SOURCE_FIX_ALL,
        actions::Kind::Rewrite => lsp::CodeActionKind::REFACTOR_REWRITE,
        actions::Kind::Extract => lsp::CodeActionKind::REFACTOR_EXTRACT,
    }
}

/// Only for clients that run the commands in them.
fn code_lenses(server: &mut Server, params: Value) -> Answer {
    of(server, params, |asked| {
        if asked.document.settings.code_lens != Some(true) {
            return Vec::new();
        }
        let uri = asked.document.uri.as_str();
        let lens = |lens: lens::Lens| {
            let range = asked.places.range(lens.span);
            let (command, arguments) = match lens.action {
                lens::Action::Build(target) => ("llbc.build", vec![json!(uri), json!(target)]),
                lens::Action::Show(spans) => {
                    let places: Vec<_> = spans.into_iter().map(|span| asked.places.location(span)).collect();
                    ("llbc.showReferences", vec![json!(uri), json!(range.start), json!(places)])
                }
                lens::Action::Tell => ("", Vec::new()),
            };
            let command = lsp::Command { title: lens.title, command: command.to_owned(), arguments: Some(arguments) };
            lsp::CodeLens { range, command: Some(command), data: None }
        };
        lens::lenses(asked.view.file).into_iter().chain(lens::history(&asked.view)).map(lens).collect::<Vec<_>>()
    })
}

fn inlay_hints(server: &mut Server, params: Value) -> Answer {
    in_range(server, params, |asked, range| {
        if asked.document.settings.inlay_hints == Some(false) {
            return Vec::new();
        }
        let hint = |hint: inlay::Hint| lsp::InlayHint {
            position: asked.places.position(hint.at),
            label: lsp::InlayHintLabel::String(hint.label),
            kind: None,
            text_edits: None,
            tooltip: (!hint.doc.is_empty()).then(|| lsp::InlayHintTooltip::MarkupContent(markdown(hint.doc))),
            padding_left: Some(true),
            padding_right: None,
            data: None,
        };
        inlay::hints(&asked.view, range).into_iter().map(hint).collect::<Vec<_>>()
    })
}

/// The address of a file that is there.
fn existing(path: &Path) -> Option<lsp::Uri> {
    path.is_file().then(|| uri_of(path)).flatten()
}

/// Files that are not there lead nowhere.
fn document_links(asked: &Asked<'_>) -> Vec<lsp::DocumentLink> {
    let link = |link: links::Link| {
        let target = match link.target {
            links::Target::Address(address) => address.parse().ok()?,
            links::Target::File(path) => existing(&asked.document.place.context.join(path))?,
            links::Target::Beside(path) => existing(&asked.document.place.directory.join(path))?,
        };
        let range = asked.places.range(link.span);
        Some(lsp::DocumentLink { range, target: Some(target), tooltip: None, data: None })
    };
    links::links(&asked.view).into_iter().filter_map(link).collect()
}

fn diagnostics(server: &mut Server, params: Value) -> Answer {
    let errand = server.errand.clone();
    server.find(&key(&params), &errand);
    let has = params["previousResultId"].as_str().unwrap_or_default().to_owned();
    of(server, params, |asked| {
        let id = asked.document.generation.to_string();
        if id == has {
            return json!({"kind": "unchanged", "resultId": id});
        }
        let findings = asked.document.findings.clone().unwrap_or_default();
        let items: Vec<_> = findings.iter().map(|found| asked.places.diagnostic(found)).collect();
        json!({"kind": "full", "resultId": id, "items": items})
    })
}

/// Stages and variables of every build file, as it is on disk, whose name holds the query.
fn workspace_symbols(folders: &[PathBuf], query: &str, errand: &Errand) -> Value {
    let mut found = Vec::new();
    for path in workspace::build_files(folders, &|| errand.is_over()) {
        if errand.is_over() {
            break;
        }
        let (Some(file), Some(uri)) = (workspace::read(&path), uri_of(&path)) else { continue };
        let lines = super::position::Lines::new(file.text(), super::position::Encoding::Utf16);
        let mut open = symbols::outline(&file);
        while let Some(item) = open.pop() {
            open.extend(item.children);
            let matches = item.kind != symbols::ItemKind::Step && item.name.to_lowercase().contains(query);
            if matches && found.len() < MOST_SYMBOLS {
                let location = lsp::Location { uri: uri.clone(), range: lines.range(file.text(), item.select) };
                let kind = convert::symbol_kind(item.kind);
                found.push(json!({"name": item.name, "kind": kind, "location": location}));
            }
        }
    }
    Value::Array(found)
}

/// So many symbols are enough to choose from.
const MOST_SYMBOLS: usize = 1000;
