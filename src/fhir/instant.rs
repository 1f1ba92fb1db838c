//! Instants as FHIR and HTTP write them.

use time::{OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description};

const INSTANT: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const HTTP_DATE: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");

/// A FHIR `instant` in UTC with milliseconds, such as `2026-01-02T03:04:05.678Z`.
pub fn format(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(INSTANT).unwrap_or_default()
}

/// An HTTP date (RFC 9110 section 5.6.7), such as `Fri, 02 Jan 2026 03:04:05 GMT`.
pub fn http_date(at: OffsetDateTime) -> String {
    at.to_offset(UtcOffset::UTC).format(HTTP_DATE).unwrap_or_default()
}

/// Reads a FHIR `instant` (a full date-time with zone).
pub fn parse(text: &str) -> Option<OffsetDateTime> {
    let at = OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339).ok()?;
    // At the edges of time some zones lead out of it.
    at.checked_to_offset(UtcOffset::UTC)
}

/// Reads an HTTP date in any of the three forms that RFC 9110 section 5.6.7 demands of a recipient.
pub fn parse_http_date(text: &str) -> Option<OffsetDateTime> {
    httpdate::parse_http_date(text).ok().map(OffsetDateTime::from)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    #[test]
    fn both_forms_are_written() {
        let at = datetime!(2026-01-02 03:04:05.678 UTC);
        assert_eq!(format(at), "2026-01-02T03:04:05.678Z");
        assert_eq!(http_date(at), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(parse("2026-01-02T03:04:05.678Z"), Some(at));
        for text in ["Fri, 02 Jan 2026 03:04:05 GMT", "Friday, 02-Jan-26 03:04:05 GMT", "Fri Jan  2 03:04:05 2026"] {
            assert_eq!(parse_http_date(text), Some(datetime!(2026-01-02 03:04:05 UTC)), "{text}");
        }
        assert_eq!(parse_http_date("2026-01-02T03:04:05Z"), None);
    }
}
