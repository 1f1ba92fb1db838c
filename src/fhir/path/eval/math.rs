//! Numbers, quantities, and calendar arithmetic (FHIRPath N1 sections 5.7 and 6.6).

use rust_decimal::{Decimal, MathematicalOps, RoundingStrategy, prelude::ToPrimitive};

use super::{EvalError, Frame, Item, Machine, Stop};
use crate::fhir::path::{
    equality::{duration, number},
    expr::{Expr, Function, Operator},
    item::{Measure, Quantity, Value},
    temporal::{Unit, amount},
};

type Found<'a> = Result<Option<Item<'a>>, Stop>;

impl<'a> Machine<'_, 'a> {
    /// The value of the one item that an expression gives; `None` for nothing and for an element without a value.
    pub(super) fn value(&self, expr: &'a Expr, frame: Frame<'_, 'a>) -> Result<Option<Value<'a>>, Stop> {
        Ok(self.one(expr, frame)?.and_then(|item| item.into_value(self.tree)))
    }

    pub(super) fn integer(
        &self,
        expr: &'a Expr,
        frame: Frame<'_, 'a>,
        what: &'static str,
    ) -> Result<Option<i32>, Stop> {
        match self.value(expr, frame)? {
            None => Ok(None),
            Some(Value::Integer(value)) => Ok(Some(value)),
            Some(other) => Err(unfit(what, &other)),
        }
    }

    fn number(&self, expr: &'a Expr, frame: Frame<'_, 'a>, what: &'static str) -> Result<Option<Decimal>, Stop> {
        let Some(value) = self.value(expr, frame)? else { return Ok(None) };
        number(&value).map(Some).ok_or_else(|| unfit(what, &value))
    }

    pub(super) fn negate(&self, of: &'a Expr, frame: Frame<'_, 'a>) -> Found<'a> {
        let Some(value) = self.value(of, frame)? else { return Ok(None) };
        Ok(match value {
            Value::Integer(value) => value.checked_neg().map(Value::Integer),
            Value::Decimal(value) => Some(Value::Decimal(-value)),
            Value::Quantity(quantity) => {
                let Quantity { value, unit } = *quantity;
                Some(Value::Quantity(Box::new(Quantity { value: -value, unit })))
            }
            other => return Err(unfit("a sign", &other)),
        }
        .map(Item::Value))
    }

    pub(super) fn arithmetic(
        &self,
        left: &'a Expr,
        right: &'a Expr,
        operator: Operator,
        frame: Frame<'_, 'a>,
    ) -> Found<'a> {
        if operator == Operator::Concatenate {
            let mut text = self.text(left, frame, "&")?.unwrap_or_default().into_owned();
            text.push_str(&self.text(right, frame, "&")?.unwrap_or_default());
            self.spend(text.len() as u64 / 64)?;
            return Ok(Some(Item::Value(Value::String(text.into()))));
        }
        let (Some(left), Some(right)) = (self.value(left, frame)?, self.value(right, frame)?) else { return Ok(None) };
        let found = match (left, right) {
            (Value::Integer(a), Value::Integer(b)) => of_integers(a, b, operator),
            (Value::String(a), Value::String(b)) if operator == Operator::Add => {
                self.spend((a.len() + b.len()) as u64 / 64)?;
                Some(Value::String(format!("{a}{b}").into()))
            }
            (a @ (Value::Date(_) | Value::DateTime(_) | Value::Time(_)), Value::Quantity(b)) => {
                moved(&a, &b, operator)?
            }
            (a @ Value::Quantity(_), b) | (a, b @ Value::Quantity(_)) => of_quantities(&a, &b, operator)?,
            (a, b) => match (number(&a), number(&b)) {
                (Some(a), Some(b)) => of_decimals(a, b, operator),
                _ => return Err(EvalError::Type { what: "arithmetic", found: pair(&a, &b) }.into()),
            },
        };
        Ok(found.map(Item::Value))
    }

    pub(super) fn mathematics(
        &self,
        function: Function,
        of: &'a Expr,
        arguments: &'a [Expr],
        frame: Frame<'_, 'a>,
    ) -> Found<'a> {
        let Some(value) = self.value(of, frame)? else { return Ok(None) };
        if function == Function::Abs {
            return absolute(value).map(|found| found.map(Item::Value));
        }
        let decimal = number(&value).ok_or_else(|| unfit("mathematics", &value))?;
        let argument = match arguments {
            [] => None,
            [argument, ..] => match self.number(argument, frame, "mathematics")? {
                None => return Ok(None),
                found => found,
            },
        };
        let whole = |value: Decimal| value.to_i32().map(Value::Integer);
        let found = match function {
            Function::Ceiling => whole(decimal.ceil()),
            Function::Floor => whole(decimal.floor()),
            Function::Truncate => whole(decimal.trunc()),
            Function::Exp => decimal.checked_exp().map(Value::Decimal),
            Function::Ln => decimal.checked_ln().map(Value::Decimal),
            Function::Log => argument.and_then(|base| logarithm(decimal, base)).map(Value::Decimal),
            Function::Sqrt => decimal.sqrt().map(Value::Decimal),
            Function::Round => {
                let digits = argument.unwrap_or_default();
                let digits = digits.to_u32().ok_or_else(|| unfit("round()", &Value::Decimal(digits)))?;
                let rounded = decimal.round_dp_with_strategy(digits, RoundingStrategy::MidpointAwayFromZero);
                Some(Value::Decimal(rounded))
            }
            Function::Power => argument.and_then(|exponent| power(&value, decimal, exponent)),
            _ => None,
        };
        Ok(found.map(Item::Value))
    }
}

fn unfit(what: &'static str, found: &Value<'_>) -> Stop {
    EvalError::Type { what, found: found.system().name().to_owned() }.into()
}

fn pair(a: &Value<'_>, b: &Value<'_>) -> String {
    format!("{} and {}", a.system().name(), b.system().name())
}

fn of_integers<'a>(a: i32, b: i32, operator: Operator) -> Option<Value<'a>> {
    let found = match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        Operator::Div => a.checked_div(b),
        Operator::Mod => a.checked_rem(b),
        Operator::Divide => return of_decimals(a.into(), b.into(), operator),
        Operator::Concatenate => None,
    };
    found.map(Value::Integer)
}

fn of_decimals<'a>(a: Decimal, b: Decimal, operator: Operator) -> Option<Value<'a>> {
    match operator {
        Operator::Add => a.checked_add(b),
        Operator::Subtract => a.checked_sub(b),
        Operator::Multiply => a.checked_mul(b),
        // Decimals have steps of 10^-8 (section 4.1.4); what cannot be written out is cut there.
        Operator::Divide => a.checked_div(b).map(|found| if found.scale() > 8 { found.round_dp(8) } else { found }),
        Operator::Mod => a.checked_rem(b),
        Operator::Div => return a.checked_div(b)?.trunc().to_i32().map(Value::Integer),
        Operator::Concatenate => None,
    }
    .map(Value::Decimal)
}

/// Quantities add when their units are the same; they multiply and divide by numbers, and divide by their own kind.
fn of_quantities<'a>(a: &Value<'a>, b: &Value<'a>, operator: Operator) -> Result<Option<Value<'a>>, Stop> {
    let unfit = || EvalError::Type { what: "arithmetic", found: pair(a, b) };
    let quantity = |value: &Value<'a>| match value {
        Value::Quantity(quantity) => Some((**quantity).clone()),
        other => number(other).map(Quantity::pure),
    };
    let (Some(left), Some(right)) = (quantity(a), quantity(b)) else { return Err(unfit().into()) };
    let is_pure = |one: &Quantity<'_>| one.unit == Measure::Ucum("1".into());
    let unit = match operator {
        Operator::Add | Operator::Subtract if left.unit == right.unit => left.unit,
        Operator::Add | Operator::Subtract => return Ok(None),
        Operator::Multiply if is_pure(&left) => right.unit,
        Operator::Multiply | Operator::Divide if is_pure(&right) => left.unit,
        Operator::Divide if left.unit == right.unit => Measure::Ucum("1".into()),
        Operator::Multiply | Operator::Divide => return Ok(None),
        Operator::Div | Operator::Mod | Operator::Concatenate => return Err(unfit().into()),
    };
    let found = of_decimals(left.value, right.value, operator);
    Ok(found.as_ref().and_then(number).map(|value| Value::Quantity(Box::new(Quantity { value, unit }))))
}

/// A date, time or dateTime and a duration (section 6.6.7).
fn moved<'a>(from: &Value<'_>, by: &Quantity<'_>, operator: Operator) -> Result<Option<Value<'a>>, Stop> {
    let unfit = || Stop::from(EvalError::Type { what: "calendar arithmetic", found: by.to_string() });
    let unit = match &by.unit {
        Measure::Calendar(unit) => *unit,
        // A UCUM year is not a calendar year: only what is sure to be the same may be added.
        other => duration(other).filter(|unit| unit.nanos().is_some()).ok_or_else(unfit)?,
    };
    let signed = match operator {
        Operator::Add => by.value,
        Operator::Subtract => -by.value,
        _ => return Err(unfit()),
    };
    let thousandths = signed.checked_mul(Decimal::ONE_THOUSAND).and_then(|value| value.trunc().to_i128());
    let Some(amount) = thousandths.and_then(|thousandths| amount(thousandths, unit)) else { return Ok(None) };
    Ok(match from {
        Value::Date(date) => date.plus(amount, unit).map(Value::Date),
        Value::DateTime(at) => at.plus(amount, unit).map(Value::DateTime),
        Value::Time(time) if !matches!(unit, Unit::Year | Unit::Month) => Some(Value::Time(time.plus(amount))),
        _ => return Err(unfit()),
    })
}

fn absolute(value: Value<'_>) -> Result<Option<Value<'_>>, Stop> {
    Ok(match value {
        Value::Integer(value) => value.checked_abs().map(Value::Integer),
        Value::Decimal(value) => Some(Value::Decimal(value.abs())),
        Value::Quantity(quantity) => {
            let Quantity { value, unit } = *quantity;
            Some(Value::Quantity(Box::new(Quantity { value: value.abs(), unit })))
        }
        other => return Err(unfit("abs()", &other)),
    })
}

fn logarithm(value: Decimal, base: Decimal) -> Option<Decimal> {
    let found = value.checked_ln()?.checked_div(base.checked_ln()?)?;
    // Both are rounded: 16 to the base 2 is to be 4.
    Some(found.round_dp(20).normalize())
}

/// Whole powers of integers are integers.
fn power<'a>(value: &Value<'_>, base: Decimal, exponent: Decimal) -> Option<Value<'a>> {
    if let (Value::Integer(base), Some(exponent)) = (value, exponent.to_u32().filter(|_| exponent.is_integer())) {
        return base.checked_pow(exponent).map(Value::Integer);
    }
    if exponent.is_integer() {
        return base.checked_powi(exponent.to_i64()?).map(Value::Decimal);
    }
    if base.is_sign_negative() {
        return None;
    }
    base.checked_powd(exponent).map(Value::Decimal)
}
