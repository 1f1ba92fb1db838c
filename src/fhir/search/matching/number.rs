//! Decimal numbers of any size, as far as their order goes: what `numeric` is to Postgres.

use std::cmp::Reverse;

/// A number, or beyond all numbers. The variants stand in the order of their values.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Number {
    /// Below all.
    Least,
    Negative(Reverse<Magnitude>),
    Zero,
    Positive(Magnitude),
    /// Above all.
    Greatest,
}

/// How great a number is without its sign.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Magnitude {
    /// The power of ten of the first digit.
    power: i64,
    /// Neither the first nor the last is 0.
    digits: Vec<u8>,
}

impl Number {
    /// Reads a number as JSON writes it: `-1.50e3`.
    pub fn of(text: &str) -> Self {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
        let (number, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        let zeros = whole.bytes().chain(fraction.bytes()).take_while(|digit| *digit == b'0').count();
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).skip(zeros).collect();
        digits.truncate(digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1));
        if digits.is_empty() {
            return Self::Zero;
        }
        let size = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        let power = size(whole.len()).saturating_sub(size(zeros)).saturating_add(exponent.parse().unwrap_or_default());
        let magnitude = Magnitude { power, digits };
        if is_negative { Self::Negative(Reverse(magnitude)) } else { Self::Positive(magnitude) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_are_ordered_by_their_values() {
        let groups: [&[&str]; 13] = [
            &["-1e1000"],
            &["-100", "-1e2", "-100.00", "-1E+2"],
            &["-99.999"],
            &["-0.5", "-5e-1"],
            &["-1e-1000"],
            &["0", "-0", "0.000", "0e5"],
            &["1e-1000", "0.1e-999"],
            &["0.05"],
            &["0.5", "0.50"],
            &["9.99"],
            &["10", "1e1"],
            &["12345678901234567890123456789012345678901234567890"],
            &["12345678901234567890123456789012345678901234567890.1"],
        ];
        for (at, group) in groups.iter().enumerate() {
            for text in *group {
                let own = Number::of(text);
                assert!(Number::Least < own && own < Number::Greatest, "{text}");
                for (other_at, others) in groups.iter().enumerate() {
                    for other in *others {
                        assert_eq!(own.cmp(&Number::of(other)), at.cmp(&other_at), "{text} and {other}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_is_that_of_binary_numbers_where_they_tell_two_apart(
            one in r"-?[0-9]{1,6}(\.[0-9]{1,6})?(e-?[0-9])?", other in r"-?[0-9]{1,6}(\.[0-9]{1,6})?(e-?[0-9])?",
        ) {
            let (a, b): (f64, f64) = (one.parse().unwrap(), other.parse().unwrap());
            prop_assume!((a - b).abs() > 1e-9 * a.abs().max(b.abs()));
            prop_assert_eq!(Number::of(&one).cmp(&Number::of(&other)), a.total_cmp(&b));
        }
    }
}
