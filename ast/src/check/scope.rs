//! What names stand for in a module and in a function.

use std::collections::BTreeMap;

use crate::{Call, Def, Expr, ExprKind, Import, Module, Name, Param, Span, builtin, suggest::suggest_below, types};

/// What a name stands for.
#[derive(Clone, Copy, Debug)]
pub enum Object<'m> {
    /// Primitives, of which the type that is welcome chooses one.
    Builtin(&'m [&'static builtin::Row]),
    /// A function of the module.
    Function(&'m Def),
    /// An effect of a call in a function.
    Bound {
        /// Where it gets its name.
        name: &'m Name,
        /// The function, whose parameters it has.
        function: &'m Def,
        /// Its type.
        gives: &'static str,
    },
    /// Another module.
    Import(&'m Import),
    /// A parameter or an effect.
    Field(&'m Param),
}

impl<'m> Object<'m> {
    /// Where it is declared.
    pub fn span(&self) -> Span {
        match self {
            Self::Builtin(rows) => rows[0].span,
            Self::Function(def) => def.name.as_ref().map_or(def.span, |name| name.span),
            Self::Bound { name, .. } => name.span,
            Self::Import(import) => import.name.span,
            Self::Field(param) => param.name.span,
        }
    }

    /// Whether it is something that a target can be.
    pub fn is_callable(&self) -> bool {
        matches!(self, Self::Function(_) | Self::Bound { .. })
    }

    /// Its type; primitives have several.
    pub fn gives(&self) -> Option<&'m str> {
        match self {
            Self::Builtin(_) => None,
            Self::Function(def) => Some(gives(def)),
            Self::Bound { gives, .. } => Some(gives),
            Self::Import(import) => Some(kind_of(&import.from)),
            Self::Field(param) => Some(type_of(param)),
        }
    }
}

/// The type of a function.
pub(super) fn gives(def: &Def) -> &str {
    def.signature.as_ref().map_or(types::FS, |signature| signature.gives.text.as_str())
}

/// The type of a parameter.
pub(super) fn type_of(param: &Param) -> &str {
    param.ty.as_ref().map_or(types::STRING, |ty| ty.text.as_str())
}

/// The type that an expression shows without looking anything up.
pub(super) fn kind_of(expr: &Expr) -> &str {
    match &expr.kind {
        ExprKind::Text(_) => types::STRING,
        ExprKind::Int(_) => types::INT,
        ExprKind::Bool(_) => types::BOOL,
        ExprKind::Block(block) => &block.gives.text,
        ExprKind::Call(_) | ExprKind::Choice(_) | ExprKind::Hole => types::NONE,
    }
}

/// The names of a module.
#[derive(Clone, Debug, Default)]
pub struct Scope<'m> {
    pub(super) names: BTreeMap<&'m str, Object<'m>>,
}

/// Where a call stands: a module and, in it, a function.
#[derive(Clone, Copy)]
pub(super) struct Place<'s, 'm> {
    pub(super) scope: &'s Scope<'m>,
    pub(super) function: Option<&'m Def>,
}

impl<'m> Scope<'m> {
    /// The names that a module declares and binds. Of one that is declared twice, the first counts.
    pub fn of(module: &'m Module) -> Self {
        super::names::register(module).0
    }

    /// What a name stands for in a function: parameters hide everything.
    pub fn find_in(&self, function: Option<&'m Def>, name: &str) -> Option<Object<'m>> {
        Place { scope: self, function }.find(name)
    }

    /// What a name stands for outside of functions.
    pub fn find(&self, name: &str) -> Option<Object<'m>> {
        let found = self.names.get(name).copied();
        found.or_else(|| {
            let rows = builtin::named(name);
            (!rows.is_empty()).then_some(Object::Builtin(rows))
        })
    }

    /// The name that was probably meant, of a type among `wanted`; of any type when there are none.
    pub(super) fn suggest(
        &self,
        place: Option<&'m Def>,
        name: &str,
        wanted: Option<&[&str]>,
    ) -> Option<(&'m str, Span)> {
        let fields = place.into_iter().flat_map(fields).map(|param| (param.name.text.as_str(), Object::Field(param)));
        let mut visible = self.names.clone();
        visible.extend(fields);
        if wanted.is_none() {
            visible.extend(builtin::names().map(|name| (name, Object::Builtin(builtin::named(name)))));
        }
        let fits =
            |object: &Object<'_>| wanted.is_none_or(|wanted| object.gives().is_some_and(|ty| wanted.contains(&ty)));
        visible.retain(|_, object| fits(object));
        let too_far = if name.len() <= 3 { 2 } else { 3 };
        let found = suggest_below(too_far, name, visible.keys().copied())?;
        Some((found, visible[found].span()))
    }
}

fn fields(def: &Def) -> impl Iterator<Item = &Param> {
    def.params.iter().chain(def.signature.iter().flat_map(|signature| &signature.effects))
}

impl<'s, 'm> Place<'s, 'm> {
    /// What a name stands for here: parameters hide everything.
    pub(super) fn find(&self, name: &str) -> Option<Object<'m>> {
        let field = self.function.into_iter().flat_map(fields).find(|param| param.name.text == name);
        field.map(Object::Field).or_else(|| self.scope.find(name))
    }
}

/// Whether a call is the one that does nothing, with any arguments.
pub(super) fn is_breakpoint(call: &Call) -> bool {
    call.name.text == "breakpoint" && call.member.is_none()
}
