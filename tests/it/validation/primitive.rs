//! The form and range of each primitive type (R4 datatypes.html#primitive), as elements of resources.

use super::{issues, said};
use sofa::fhir::definition::registry::Registry;
use sofa::fhir::validate::{Options, Validator};

const STRING: &str = "a string in double quotes";
const NUMBER: &str = "a number, without quotes";

/// An extension's value of a type, as JSON, and what is said of it: nothing when it is accepted.
const VALUES: &[(&str, &str, &str)] = &[
    ("Boolean", "true", ""),
    ("Boolean", "false", ""),
    ("Boolean", "\"true\"", "true or false, without quotes"),
    ("Boolean", "1", "true or false"),
    ("Integer", "0", ""),
    ("Integer", "-2147483648", ""),
    ("Integer", "2147483647", ""),
    ("Integer", "2147483648", "from -2147483648 to 2147483647"),
    ("Integer", "-2147483649", "from -2147483648"),
    ("Integer", "1.0", "a whole number"),
    ("Integer", "1e2", "a whole number"),
    ("Integer", "\"1\"", NUMBER),
    ("UnsignedInt", "0", ""),
    ("UnsignedInt", "-1", "from 0 to 2147483647"),
    ("UnsignedInt", "2147483648", "from 0 to 2147483647"),
    ("PositiveInt", "1", ""),
    ("PositiveInt", "0", "from 1 to 2147483647"),
    ("PositiveInt", "true", NUMBER),
    ("Decimal", "0.10", ""),
    ("Decimal", "-1.5e-10", ""),
    ("Decimal", "123456789012345678901234567890.123", ""),
    ("Decimal", "\"0.1\"", NUMBER),
    ("String", "\"a\\tb\\r\\nc é 😀\"", ""),
    ("String", "\"a\\u0001b\"", "no control characters"),
    ("String", "\"\\u001f\"", "no control characters"),
    ("String", "\"\"", "strings are not empty"),
    ("String", "5", STRING),
    ("String", "false", STRING),
    ("Markdown", "\"# a\\n* b\"", ""),
    ("Markdown", "\"\"", "strings are not empty"),
    ("Code", "\"a b\"", ""),
    ("Code", "\" a\"", "no white space at its ends"),
    ("Code", "\"a \"", "no white space at its ends"),
    ("Code", "\"a  b\"", "single spaces inside"),
    ("Uri", "\"http://a/b?c=d#e\"", ""),
    ("Uri", "\"urn:oid:1.2\"", ""),
    ("Uri", "\"http://a b\"", "a URI without white space"),
    ("Url", "\"mailto:a@b.c\"", ""),
    ("Url", "\"http://a\\n\"", "a URI without white space"),
    ("Canonical", "\"http://a/b|1.0\"", ""),
    ("Canonical", "\"http://a/b |1.0\"", "a URI without white space"),
    ("Oid", "\"urn:oid:1.2.840.113619\"", ""),
    ("Oid", "\"1.2.840\"", "an OID"),
    ("Oid", "\"urn:oid:3.1\"", "an OID"),
    ("Oid", "\"urn:oid:1.01\"", "an OID"),
    ("Uuid", "\"urn:uuid:c757873d-ec9a-4326-a141-556f43239520\"", ""),
    ("Uuid", "\"c757873d-ec9a-4326-a141-556f43239520\"", "a UUID"),
    ("Uuid", "\"urn:uuid:C757873D-EC9A-4326-A141-556F43239520\"", "a UUID"),
    ("Uuid", "\"urn:uuid:c757873dec9a4326a141556f43239520\"", "a UUID"),
    ("Id", "\"Abc-1.2\"", ""),
    ("Id", "\"1234567890123456789012345678901234567890123456789012345678901234\"", ""),
    ("Id", "\"12345678901234567890123456789012345678901234567890123456789012345\"", "1 to 64"),
    ("Id", "\"a_b\"", "1 to 64 of"),
    ("Base64Binary", "\"YWJj\"", ""),
    ("Base64Binary", "\"YWI=\"", ""),
    ("Base64Binary", "\"YWJ\"", "groups of four"),
    ("Base64Binary", "\"YW=j\"", "groups of four"),
    ("Base64Binary", "\"YW-_\"", "groups of four"),
    ("Date", "\"2024\"", ""),
    ("Date", "\"2024-02\"", ""),
    ("Date", "\"2024-02-29\"", ""),
    ("Date", "\"2023-02-29\"", "a date that exists"),
    ("Date", "\"2024-13\"", "a date that exists"),
    ("Date", "\"2024-2-1\"", "a date that exists"),
    ("Date", "\"24-02-01\"", "a date that exists"),
    ("Date", "\"2024-02-01T10:00:00Z\"", "a date that exists"),
    ("Date", "2024", STRING),
    ("DateTime", "\"2024\"", ""),
    ("DateTime", "\"2024-02-29\"", ""),
    ("DateTime", "\"2024-02-29T10:00:00Z\"", ""),
    ("DateTime", "\"2024-02-29T10:00:00.123456789-03:30\"", ""),
    ("DateTime", "\"2024-02-29T10:00:00\"", "with a time zone"),
    ("DateTime", "\"2024-02-29T10:00Z\"", "YYYY-MM-DDThh:mm:ss"),
    ("DateTime", "\"2024-02-29T24:00:00Z\"", "YYYY-MM-DDThh:mm:ss"),
    ("DateTime", "\"2024-02-30T10:00:00Z\"", "YYYY-MM-DD"),
    ("DateTime", "\"2024-02-29T10:00:00+14:30\"", "with a time zone"),
    ("DateTime", "\"2024-02-29t10:00:00z\"", "YYYY-MM-DDThh:mm:ss"),
    ("Instant", "\"2024-02-29T10:00:00.5+05:30\"", ""),
    ("Instant", "\"2024-02-29\"", "YYYY-MM-DDThh:mm:ss with a time zone"),
    ("Instant", "\"2024-02-29T10:00:00\"", "with a time zone"),
    ("Time", "\"23:59:59.9\"", ""),
    ("Time", "\"24:00:00\"", "a time of day"),
    ("Time", "\"10:00\"", "a time of day"),
    ("Time", "\"10:00:00Z\"", "a time of day"),
];

#[test]
fn each_primitive_has_its_form_and_range() {
    let validator = Validator::new(Registry::built_in(), Options::default());
    let mut wrong = Vec::new();
    for (ty, json, expected) in VALUES {
        let text = format!(
            r#"{{"resourceType":"Basic","code":{{"text":"x"}},"extension":[{{"url":"http://x/e","value{ty}":{json}}}]}}"#
        );
        let found: Vec<_> = issues(&validator, &[], &text).iter().map(said).collect();
        let is_right = match &*found {
            [] => expected.is_empty(),
            [one] => {
                !expected.is_empty()
                    && one.starts_with("error value Basic.extension[0].value: ")
                    && one.contains(expected)
            }
            _ => false,
        };
        if !is_right {
            wrong.push(format!("{ty} {json}: expected '{expected}', found {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_id_of_a_resource_is_an_id_and_the_id_of_an_element_has_no_white_space() {
    super::judge(
        r#""resourceType":"Basic","code":{"text":"x"}"#,
        &[
            (r#""id":"a-1""#, &[]),
            (r#""id":"a_1""#, &["value Basic.id: 1 to 64 of"]),
            (r#""id":1"#, &["value Basic.id: a string in double quotes"]),
            (r#""subject":{"id":"any/thing_goes","display":"x"}"#, &[]),
            (r#""subject":{"id":"a b","display":"x"}"#, &["value Basic.subject.id: no white space"]),
        ],
    );
}
