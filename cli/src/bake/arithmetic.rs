//! Operators of numbers, which become calls of the functions that bake has for them: those of the HCL library end the program
//! when something is divided by zero or too large.

use hcl::expr::{
    BinaryOp, BinaryOperator, FuncCall, ObjectKey, Operation, TemplateExpr, Traversal, TraversalOperator, UnaryOp,
    UnaryOperator,
};
use hcl::template::{Directive, Element, Template};
use hcl::{Expression, Identifier};

/// Puts calls in the place of operators, also of those in texts.
///
/// **Errors**: an expression of a kind that is not known here, which could hide one.
pub(super) fn call(expression: &mut Expression) -> Result<(), String> {
    match expression {
        Expression::Array(items) => items.iter_mut().try_for_each(call),
        Expression::Object(entries) => {
            let all = std::mem::take(entries).into_iter().map(entry).collect::<Result<_, _>>();
            all.map(|all| *entries = all)
        }
        Expression::TemplateExpr(template) => {
            if let Some(parts) = text(template)? {
                *expression = parts;
            }
            Ok(())
        }
        Expression::Traversal(traversal) => path(traversal),
        Expression::FuncCall(inner) => inner.args.iter_mut().try_for_each(call),
        Expression::Parenthesis(inner) => call(inner),
        Expression::Conditional(choice) => {
            [&mut choice.cond_expr, &mut choice.true_expr, &mut choice.false_expr].into_iter().try_for_each(call)
        }
        Expression::ForExpr(each) => {
            let certain = [&mut each.collection_expr, &mut each.value_expr].into_iter();
            certain.chain(&mut each.key_expr).chain(&mut each.cond_expr).try_for_each(call)
        }
        Expression::Operation(operation) => {
            if let Some(function) = operator(operation)? {
                *expression = function;
            }
            Ok(())
        }
        Expression::Null
        | Expression::Bool(_)
        | Expression::Number(_)
        | Expression::String(_)
        | Expression::Variable(_) => Ok(()),
        _ => Err("an expression of an unknown kind".to_owned()),
    }
}

fn entry((mut key, mut value): (ObjectKey, Expression)) -> Result<(ObjectKey, Expression), String> {
    if let ObjectKey::Expression(key) = &mut key {
        call(key)?;
    }
    call(&mut value)?;
    Ok((key, value))
}

fn path(traversal: &mut Traversal) -> Result<(), String> {
    call(&mut traversal.expr)?;
    traversal.operators.iter_mut().try_for_each(|operator| match operator {
        TraversalOperator::Index(index) => call(index),
        _ => Ok(()),
    })
}

/// The call that an operator stands for, if it is one of numbers.
fn operator(operation: &mut Operation) -> Result<Option<Expression>, String> {
    let (name, left, right) = match operation {
        Operation::Unary(UnaryOp { operator, expr }) => {
            call(expr)?;
            match operator {
                UnaryOperator::Neg => ("subtract", Expression::from(0), expr.clone()),
                UnaryOperator::Not => return Ok(None),
            }
        }
        Operation::Binary(BinaryOp { lhs_expr, operator, rhs_expr }) => {
            call(lhs_expr)?;
            call(rhs_expr)?;
            let name = match operator {
                BinaryOperator::Plus => "add",
                BinaryOperator::Minus => "subtract",
                BinaryOperator::Mul => "multiply",
                BinaryOperator::Div => "divide",
                BinaryOperator::Mod => "modulo",
                _ => return Ok(None),
            };
            (name, lhs_expr.clone(), rhs_expr.clone())
        }
    };
    Ok(Some(FuncCall::builder(Identifier::sanitized(name)).arg(left).arg(right).build().into()))
}

/// The same text with calls in it; `None` if there are no operators.
fn text(written: &TemplateExpr) -> Result<Option<Expression>, String> {
    // What cannot be read says so when it is needed.
    let Ok(before) = Template::from_expr(written) else { return Ok(None) };
    let mut after = before.clone();
    parts(&mut after)?;
    Ok((after != before).then(|| TemplateExpr::from(after.to_string()).into()))
}

fn parts(template: &mut Template) -> Result<(), String> {
    template.elements_mut().iter_mut().try_for_each(|element| match element {
        Element::Literal(_) => Ok(()),
        Element::Interpolation(inner) => call(&mut inner.expr),
        Element::Directive(directive) => match &mut **directive {
            Directive::If(choice) => {
                call(&mut choice.cond_expr)?;
                parts(&mut choice.true_template)?;
                choice.false_template.as_mut().map_or(Ok(()), parts)
            }
            Directive::For(each) => {
                call(&mut each.collection_expr)?;
                parts(&mut each.template)
            }
        },
    })
}
