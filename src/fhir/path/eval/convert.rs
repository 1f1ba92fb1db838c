//! Conversions between System types (FHIRPath N1 section 5.5).

use std::borrow::Cow;

use rust_decimal::Decimal;

use super::{EvalError, Frame, Item, Machine, Stop};
use crate::fhir::path::{
    equality::{duration, number},
    expr::Expr,
    item::{Measure, Quantity, System, Value},
    temporal::{Date, DateTime, Precision, Time, Unit},
};

impl<'a> Machine<'_, 'a> {
    pub(super) fn convert(
        &self,
        to: System,
        of: &'a Expr,
        unit: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Item<'a>>, Stop> {
        let Some(item) = self.one(of, frame)? else { return Ok(None) };
        Ok(self.converted(item, to, unit, frame)?.map(Item::Value))
    }

    pub(super) fn converts(
        &self,
        to: System,
        of: &'a Expr,
        unit: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<bool>, Stop> {
        let Some(item) = self.one(of, frame)? else { return Ok(None) };
        Ok(Some(self.converted(item, to, unit, frame)?.is_some()))
    }

    fn converted(
        &self,
        item: Item<'a>,
        to: System,
        unit: Option<&'a Expr>,
        frame: Frame<'_, 'a>,
    ) -> Result<Option<Value<'a>>, Stop> {
        // A dateTime's text is the document's own.
        if let (System::String, Item::Element(node)) = (to, &item)
            && let Some(text) =
                self.primitive(*node).and(self.tree.value(*node)).and_then(crate::fhir::json::Ref::as_str)
        {
            return Ok(Some(Value::String(text)));
        }
        let Some(value) = item.into_value(self.tree) else { return Ok(None) };
        let found = convert(value, to);
        let Some(unit) = unit else { return Ok(found) };
        let Some(unit) = self.text(unit, frame, "toQuantity()")? else { return Ok(found) };
        match found {
            Some(Value::Quantity(quantity)) => Ok(in_unit(&quantity, &unit)),
            None => Ok(None),
            Some(other) => Err(EvalError::Type { what: "toQuantity()", found: other.to_string() }.into()),
        }
    }
}

/// The value as another type, if it can be one.
fn convert(value: Value<'_>, to: System) -> Option<Value<'_>> {
    if value.system() == to {
        return Some(value);
    }
    match to {
        System::String => Some(Value::String(Cow::Owned(value.to_string()))),
        System::Boolean => boolean(&value).map(Value::Boolean),
        System::Integer => match value {
            Value::Boolean(value) => Some(Value::Integer(value.into())),
            Value::String(text) => signed(&text).and_then(|text| text.parse().ok()).map(Value::Integer),
            _ => None,
        },
        System::Decimal => match value {
            Value::Boolean(value) => Some(Value::Decimal(i32::from(value).into())),
            Value::Integer(value) => Some(Value::Decimal(value.into())),
            Value::String(text) => plain_decimal(&text).map(Value::Decimal),
            _ => None,
        },
        System::Date => match value {
            Value::DateTime(at) => Some(Value::Date(at.date())),
            Value::String(text) => Date::parse(&text).map(Value::Date),
            _ => None,
        },
        System::DateTime => match value {
            Value::Date(date) => Some(Value::DateTime(DateTime { date, time: None, zone: None })),
            Value::String(text) => DateTime::parse(&text).map(Value::DateTime),
            _ => None,
        },
        System::Time => match value {
            Value::String(text) => Time::parse(text.strip_prefix('T').unwrap_or(&text)).map(Value::Time),
            Value::DateTime(at) if at.precision() > Precision::Day => at.time.map(Value::Time),
            _ => None,
        },
        System::Quantity => {
            let quantity = match &value {
                Value::Boolean(value) => Some(Quantity::pure(i32::from(*value).into())),
                Value::String(text) => read_quantity(text),
                other => number(other).map(Quantity::pure),
            };
            quantity.map(|quantity| Value::Quantity(Box::new(quantity)))
        }
    }
}

fn boolean(value: &Value<'_>) -> Option<bool> {
    match value {
        Value::Boolean(value) => Some(*value),
        Value::Integer(0) => Some(false),
        Value::Integer(1) => Some(true),
        Value::Decimal(value) if *value == Decimal::ZERO => Some(false),
        Value::Decimal(value) if *value == Decimal::ONE => Some(true),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "1" | "1.0" => Some(true),
            "false" | "f" | "no" | "n" | "0" | "0.0" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

/// `(\+|-)?\d+`
fn signed(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

/// `(\+|-)?\d+(\.\d+)?`
fn plain_decimal(text: &str) -> Option<Decimal> {
    let (whole, fraction) = text.split_once('.').map_or((text, None), |(whole, fraction)| (whole, Some(fraction)));
    signed(whole)?;
    let is_fraction = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    fraction.is_none_or(is_fraction).then(|| text.parse().ok())?
}

/// `4 days`, `4 'mg'`, `4`
fn read_quantity<'d>(text: &str) -> Option<Quantity<'d>> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.'))).unwrap_or(text.len());
    let value = plain_decimal(&text[..end])?;
    let unit = text[end..].trim();
    let unit = if unit.is_empty() {
        Measure::Ucum(Cow::Borrowed("1"))
    } else if let Some(code) = unit.strip_prefix('\'').and_then(|unit| unit.strip_suffix('\'')) {
        Measure::Ucum(Cow::Owned(code.to_owned()))
    } else if text[end..].starts_with(char::is_whitespace) {
        Measure::Calendar(Unit::word(unit)?)
    } else {
        return None;
    };
    Some(Quantity { value, unit })
}

/// The quantity in another unit: durations of fixed length convert, others must have it already.
fn in_unit<'d>(quantity: &Quantity<'_>, unit: &str) -> Option<Value<'d>> {
    let wanted = Unit::word(unit).map_or_else(|| Measure::Ucum(Cow::Owned(unit.to_owned())), Measure::Calendar);
    let value = if quantity.unit == wanted {
        quantity.value
    } else {
        let nanos = |measure: &Measure<'_>| duration(measure).and_then(Unit::nanos).map(Decimal::from);
        let nanos_each = nanos(&quantity.unit)?;
        quantity.value.checked_mul(nanos_each)?.checked_div(nanos(&wanted)?)?.normalize()
    };
    Some(Value::Quantity(Box::new(Quantity { value, unit: wanted })))
}
