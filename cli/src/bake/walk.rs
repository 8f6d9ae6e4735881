//! Every part of an expression, also of those in texts.

use hcl::Expression;
use hcl::expr::{BinaryOp, ObjectKey, Operation, TemplateExpr, Traversal, TraversalOperator, UnaryOp};
use hcl::template::{Directive, Element, Template};

/// What is done with each part, after what it is made of.
type Visit<'v> = &'v mut dyn FnMut(&mut Expression) -> Result<(), String>;

/// Visits an expression and all that it is made of, which come first.
///
/// **Errors**: those of the visit, and an expression of a kind that is not known here, which could hide one.
pub(super) fn walk(expression: &mut Expression, visit: Visit<'_>) -> Result<(), String> {
    inside(expression, visit)?;
    visit(expression)
}

fn inside(expression: &mut Expression, visit: Visit<'_>) -> Result<(), String> {
    match expression {
        Expression::Array(items) => items.iter_mut().try_for_each(|item| walk(item, visit)),
        Expression::Object(entries) => {
            let all = std::mem::take(entries).into_iter().map(|pair| entry(pair, visit)).collect::<Result<_, _>>();
            all.map(|all| *entries = all)
        }
        Expression::TemplateExpr(template) => {
            if let Some(parts) = text(template, visit)? {
                *expression = parts;
            }
            Ok(())
        }
        Expression::Traversal(traversal) => path(traversal, visit),
        Expression::FuncCall(inner) => inner.args.iter_mut().try_for_each(|arg| walk(arg, visit)),
        Expression::Parenthesis(inner) => walk(inner, visit),
        Expression::Conditional(choice) => {
            let parts = [&mut choice.cond_expr, &mut choice.true_expr, &mut choice.false_expr];
            parts.into_iter().try_for_each(|part| walk(part, visit))
        }
        Expression::ForExpr(each) => {
            let certain = [&mut each.collection_expr, &mut each.value_expr].into_iter();
            certain.chain(&mut each.key_expr).chain(&mut each.cond_expr).try_for_each(|part| walk(part, visit))
        }
        Expression::Operation(operation) => match &mut **operation {
            Operation::Unary(UnaryOp { expr, .. }) => walk(expr, visit),
            Operation::Binary(BinaryOp { lhs_expr, rhs_expr, .. }) => {
                walk(lhs_expr, visit)?;
                walk(rhs_expr, visit)
            }
        },
        Expression::Null
        | Expression::Bool(_)
        | Expression::Number(_)
        | Expression::String(_)
        | Expression::Variable(_) => Ok(()),
        _ => Err("an expression of an unknown kind".to_owned()),
    }
}

fn entry((mut key, mut value): (ObjectKey, Expression), visit: Visit<'_>) -> Result<(ObjectKey, Expression), String> {
    if let ObjectKey::Expression(key) = &mut key {
        walk(key, visit)?;
    }
    walk(&mut value, visit)?;
    Ok((key, value))
}

fn path(traversal: &mut Traversal, visit: Visit<'_>) -> Result<(), String> {
    walk(&mut traversal.expr, visit)?;
    traversal.operators.iter_mut().try_for_each(|operator| match operator {
        TraversalOperator::Index(index) => walk(index, visit),
        _ => Ok(()),
    })
}

/// The same text with what was made of its parts; `None` if nothing changed.
fn text(written: &TemplateExpr, visit: Visit<'_>) -> Result<Option<Expression>, String> {
    // What cannot be read says so when it is needed.
    let Ok(before) = Template::from_expr(written) else { return Ok(None) };
    let mut after = before.clone();
    parts(&mut after, visit)?;
    Ok((after != before).then(|| TemplateExpr::from(after.to_string()).into()))
}

fn parts(template: &mut Template, visit: Visit<'_>) -> Result<(), String> {
    template.elements_mut().iter_mut().try_for_each(|element| match element {
        Element::Literal(_) => Ok(()),
        Element::Interpolation(inner) => walk(&mut inner.expr, visit),
        Element::Directive(directive) => match &mut **directive {
            Directive::If(choice) => {
                walk(&mut choice.cond_expr, visit)?;
                parts(&mut choice.true_template, visit)?;
                choice.false_template.as_mut().map_or(Ok(()), |other| parts(other, visit))
            }
            Directive::For(each) => {
                walk(&mut each.collection_expr, visit)?;
                parts(&mut each.template, visit)
            }
        },
    })
}
