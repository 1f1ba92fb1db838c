//! Decimal numbers of searches, exact, and the range that one stands for by its digits (FHIR R4 search.html#number).

use std::fmt;

/// Significant digits that a number may have.
const MAX_DIGITS: usize = 28;
/// Decimal places, before and after the point, that a number may reach.
const MAX_SCALE: i32 = 100;

/// `mantissa × 10^-scale`, as it was written: `1.50` is 150 and 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    mantissa: i128,
    scale: i32,
}

/// Why a text is not a number that can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    NotANumber,
    /// More digits or a larger exponent than is kept exactly.
    TooLong,
}

impl Decimal {
    /// Reads `100`, `-5.40e-3`, `1E+2`. A plus sign in the exponent may have become a space on its way through a URL.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (number, exponent) = text.split_once(['e', 'E']).map_or((text, None), |(a, b)| (a, Some(b)));
        let (is_negative, number) = number.strip_prefix('-').map_or((false, number), |number| (true, number));
        let (whole, fraction) = number.split_once('.').map_or((number, None), |(a, b)| (a, Some(b)));
        for digits in [Some(whole), fraction].into_iter().flatten() {
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(Fault::NotANumber);
            }
        }
        let fraction = fraction.unwrap_or_default();
        let exponent = exponent.map_or(Ok(0), Self::exponent)?;
        let digits = whole.bytes().chain(fraction.bytes()).skip_while(|byte| *byte == b'0');
        let mut mantissa: i128 = 0;
        for (count, digit) in digits.enumerate() {
            if count == MAX_DIGITS {
                return Err(Fault::TooLong);
            }
            mantissa = mantissa * 10 + i128::from(digit - b'0');
        }
        let places = i32::try_from(fraction.len()).map_err(|_| Fault::TooLong)?;
        let scale = places.saturating_sub(exponent);
        if !(-MAX_SCALE..=MAX_SCALE).contains(&scale) {
            return Err(Fault::TooLong);
        }
        Ok(Self { mantissa: if is_negative { -mantissa } else { mantissa }, scale })
    }

    fn exponent(text: &str) -> Result<i32, Fault> {
        let (is_negative, digits) = match text.as_bytes().first() {
            Some(b'-') => (true, &text[1..]),
            Some(b'+' | b' ') => (false, &text[1..]),
            _ => (false, text),
        };
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::NotANumber);
        }
        let value: i32 = digits.parse().map_err(|_| Fault::TooLong)?;
        Ok(if is_negative { -value } else { value })
    }

    /// `[low, high)`: half a unit of the last digit to both sides. `100` is [99.5, 100.5), `1e2` is [50, 150).
    pub fn range(self) -> (Self, Self) {
        self.widened(5)
    }

    /// A tenth of the value to both sides, but no less than [`Decimal::range`].
    pub fn about(self) -> (Self, Self) {
        self.widened(self.mantissa.abs().max(5))
    }

    /// By so many tenths of the last digit's unit.
    fn widened(self, tenths: i128) -> (Self, Self) {
        // 30 digits at most.
        let at = |mantissa| Self { mantissa, scale: self.scale + 1 };
        (at(self.mantissa * 10 - tenths), at(self.mantissa * 10 + tenths))
    }
}

impl fmt::Display for Decimal {
    /// Without an exponent.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.mantissa < 0 { "-" } else { "" };
        let digits = self.mantissa.unsigned_abs();
        let places = usize::try_from(self.scale.unsigned_abs()).unwrap_or_default();
        if self.scale <= 0 {
            let zeros = if digits == 0 { 0 } else { places };
            return write!(f, "{sign}{digits}{}", "0".repeat(zeros));
        }
        let digits = format!("{digits:0>width$}", width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        write!(f, "{sign}{whole}.{fraction}")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts((low, high): (Decimal, Decimal)) -> (String, String) {
        (low.to_string(), high.to_string())
    }

    #[test]
    fn the_digits_that_are_written_decide_about_the_range() {
        for (text, low, high) in [
            ("100", "99.5", "100.5"),
            ("100.00", "99.995", "100.005"),
            ("1.00e2", "99.5", "100.5"),
            ("1e2", "50", "150"),
            ("1E+2", "50", "150"),
            ("1e 2", "50", "150"),
            ("2.0", "1.95", "2.05"),
            ("5.40e-3", "0.005395", "0.005405"),
            ("-5", "-5.5", "-4.5"),
            ("0", "-0.5", "0.5"),
            ("-0", "-0.5", "0.5"),
            ("007", "6.5", "7.5"),
        ] {
            assert_eq!(texts(Decimal::parse(text).unwrap().range()), (low.to_owned(), high.to_owned()), "{text}");
        }
    }

    #[test]
    fn about_is_a_tenth_of_the_value_and_never_less_than_its_precision() {
        for (text, low, high) in [
            ("100", "90.0", "110.0"),
            ("5.4", "4.86", "5.94"),
            ("-5.4", "-5.94", "-4.86"),
            ("0", "-0.5", "0.5"),
            ("2", "1.5", "2.5"),
        ] {
            assert_eq!(texts(Decimal::parse(text).unwrap().about()), (low.to_owned(), high.to_owned()), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in
            ["", "-", "+1", ".5", "5.", "1e", "1e+", "1.2.3", "abc", "1,2", " 1", "١", "--1", "1e1e1", "NaN", "0x1"]
        {
            assert_eq!(Decimal::parse(text), Err(Fault::NotANumber), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_kept_exactly_is_refused() {
        assert_eq!(Decimal::parse(&"9".repeat(28)).unwrap().to_string(), "9".repeat(28));
        let zeros = format!("0.{}1", "0".repeat(50));
        assert_eq!(Decimal::parse(&zeros).unwrap().to_string(), zeros);
        for text in [&"9".repeat(29), "1e101", "1e-101", "1e99999999999", &format!("1.{}", "0".repeat(28))] {
            assert_eq!(Decimal::parse(text), Err(Fault::TooLong), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_number_is_inside_its_range(text in r"-?[0-9]{1,9}(\.[0-9]{1,9})?(e-?[0-8][0-9]?)?") {
            let number = Decimal::parse(&text).unwrap();
            let value: f64 = text.parse().unwrap();
            let written: f64 = number.to_string().parse().unwrap();
            prop_assert!((written - value).abs() <= value.abs() * 1e-12);
            for (low, high) in [number.range(), number.about()] {
                prop_assert_eq!((low.scale, high.scale), (number.scale + 1, number.scale + 1));
                prop_assert!(low.mantissa < number.mantissa * 10 && number.mantissa * 10 < high.mantissa);
            }
        }
    }
}
