//! Operators of numbers, which become calls of the functions that bake has for them: those of the HCL library end the program
//! when something is divided by zero or too large.

use hcl::expr::{BinaryOp, BinaryOperator, FuncCall, Operation, UnaryOp, UnaryOperator};
use hcl::{Expression, Identifier};

use super::walk::walk;

/// Puts calls in the place of operators, also of those in texts.
///
/// **Errors**: an expression of a kind that is not known here, which could hide one.
pub(super) fn call(expression: &mut Expression) -> Result<(), String> {
    walk(expression, &mut |expression| {
        if let Expression::Operation(operation) = expression
            && let Some(function) = operator(operation)
        {
            *expression = function;
        }
        Ok(())
    })
}

/// The call that an operator stands for, if it is one of numbers.
fn operator(operation: &Operation) -> Option<Expression> {
    let (name, left, right) = match operation {
        Operation::Unary(UnaryOp { operator, expr }) => match operator {
            UnaryOperator::Neg => ("subtract", Expression::from(0), expr.clone()),
            UnaryOperator::Not => return None,
        },
        Operation::Binary(BinaryOp { lhs_expr, operator, rhs_expr }) => {
            let name = match operator {
                BinaryOperator::Plus => "add",
                BinaryOperator::Minus => "subtract",
                BinaryOperator::Mul => "multiply",
                BinaryOperator::Div => "divide",
                BinaryOperator::Mod => "modulo",
                _ => return None,
            };
            (name, lhs_expr.clone(), rhs_expr.clone())
        }
    };
    Some(FuncCall::builder(Identifier::sanitized(name)).arg(left).arg(right).build().into())
}
