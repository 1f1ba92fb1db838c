//! Documents that are refused, with all that is said of them.

use std::fmt::Write as _;

use super::{json_of, spelled};

fn check(xml: &str, expected: &[&str]) {
    let found = json_of(&spelled(xml)).expect_err(xml);
    assert_eq!(found, expected, "{xml}");
}

/// Documents, each with the one thing that is wrong with it.
const FAULTS: &[(&str, &str)] = &[
    ("<Patient/>", "line 1, column 1: expected a resource of the namespace http://hl7.org/fhir"),
    ("<Foo xmlns='F'/>", "line 1, column 1: 'Foo' is not a resource type of FHIR R4"),
    ("<HumanName xmlns='F'/>", "line 1, column 1: 'HumanName' is not a resource type of FHIR R4"),
    ("<Basic xmlns='F' id=\"a\"/>", "line 1, column 36: a resource has no attributes @ Basic.id"),
    ("<Basic xmlns='F'><foo/></Basic>", "line 1, column 36: Basic has no element 'foo' @ Basic.foo"),
    ("<Basic xmlns='F'><_id/></Basic>", "line 1, column 36: Basic has no element '_id' @ Basic._id"),
    (
        "<Basic xmlns='F'><id xmlns=\"urn:x\" value=\"a\"/></Basic>",
        "line 1, column 36: expected 'id' in the namespace http://hl7.org/fhir @ Basic.id",
    ),
    (
        "<Basic xmlns='F'><text><div>a</div></text></Basic>",
        "line 1, column 42: expected 'div' in the namespace http://www.w3.org/1999/xhtml @ Basic.text.div",
    ),
    (
        "<Basic xmlns='F'><text><div xmlns='H'><p><svg xmlns=\"urn:s\"/></p></div></text></Basic>",
        "line 1, column 87: expected XHTML only, found the element 'svg' of another namespace @ Basic.text.div",
    ),
    (
        "<Basic xmlns='F' xmlns:x=\"urn:x\"><text><div xmlns='H' x:y=\"z\"/></text></Basic>",
        "line 1, column 100: expected XHTML only, found the attribute 'x:y' of another namespace @ Basic.text.div",
    ),
    (
        "<Basic xmlns='F'><text><div xmlns='H'><?php a ?></div></text></Basic>",
        "line 1, column 84: expected XHTML only, found a processing instruction @ Basic.text.div",
    ),
    (
        "<Patient xmlns='F'><birthDate value=\"1970\"/><gender value=\"male\"/></Patient>",
        "line 1, column 63: expected 'gender' before 'birthDate', in R4's order @ Patient.gender",
    ),
    (
        "<Patient xmlns='F'><gender value=\"male\"/><gender value=\"male\"/></Patient>",
        "line 1, column 60: 'gender' may stand once @ Patient.gender",
    ),
    (
        "<Patient xmlns='F'><deceasedBoolean value=\"true\"/><deceasedDateTime value=\"2020\"/></Patient>",
        "line 1, column 69: expected one of 'deceasedBoolean' and 'deceasedDateTime' @ Patient.deceased",
    ),
    (
        "<Patient xmlns='F'><deceased value=\"true\"/></Patient>",
        "line 1, column 38: expected 'deceased' with the name of its type, such as 'deceasedBoolean' @ Patient.deceased",
    ),
    (
        "<Patient xmlns='F'><name><id value=\"a\"/></name></Patient>",
        "line 1, column 44: expected 'id' as an attribute @ Patient.name[0].id",
    ),
    ("<Patient xmlns='F'><name/></Patient>", "line 1, column 38: expected an element with content @ Patient.name[0]"),
    (
        "<Patient xmlns='F'><name><text value=\"a\"/></name><name>\n </name></Patient>",
        "line 1, column 68: expected an element with content @ Patient.name[1]",
    ),
    (
        "<Patient xmlns='F'><name family=\"a\"><text value=\"b\"/></name></Patient>",
        "line 1, column 44: HumanName has no attribute 'family' @ Patient.name[0].family",
    ),
    (
        "<Patient xmlns='F'><name id=\"\"><text value=\"b\"/></name></Patient>",
        "line 1, column 44: expected a value, found an empty one @ Patient.name[0].id",
    ),
    (
        "<Patient xmlns='F'><gender value=\"\"/></Patient>",
        "line 1, column 46: expected a value, found an empty one @ Patient.gender",
    ),
    (
        "<Patient xmlns='F'><active value=\"\"/></Patient>",
        "line 1, column 46: expected a value, found an empty one @ Patient.active",
    ),
    (
        "<Patient xmlns='F'><gender></gender></Patient>",
        "line 1, column 38: expected an attribute 'value', or extensions @ Patient.gender",
    ),
    (
        "<Patient xmlns='F'><gender code=\"male\" value=\"male\"/></Patient>",
        "line 1, column 46: a primitive has no attribute 'code' @ Patient.gender.code",
    ),
    (
        "<Patient xmlns='F'><gender value=\"male\">male</gender></Patient>",
        "line 1, column 59: expected elements only, found text: a primitive's value is in its attribute 'value' @ Patient.gender",
    ),
    (
        "<Patient xmlns='F'>&#32;</Patient>",
        "line 1, column 38: expected elements only, found text: a primitive's value is in its attribute 'value' @ Patient",
    ),
    (
        "<Patient xmlns='F'><![CDATA[ ]]></Patient>",
        "line 1, column 38: expected elements only, found text: a primitive's value is in its attribute 'value' @ Patient",
    ),
    (
        "<Patient xmlns='F'><active value=\"TRUE\"/></Patient>",
        "line 1, column 46: expected 'true' or 'false', found 'TRUE' @ Patient.active",
    ),
    (
        "<Patient xmlns='F'><multipleBirthInteger value=\"1.0\"/></Patient>",
        "line 1, column 60: expected a whole number without leading zeros, found '1.0' @ Patient.multipleBirth",
    ),
    ("<Basic xmlns='F'><contained/></Basic>", "line 1, column 36: expected a resource inside @ Basic.contained[0]"),
    (
        "<Basic xmlns='F'><contained><Basic/><Basic/></contained></Basic>",
        "line 1, column 55: expected one resource, found another @ Basic.contained[0]",
    ),
    (
        "<Basic xmlns='F'><contained id=\"a\"><Basic/></contained></Basic>",
        "line 1, column 47: an element around a resource has no attributes @ Basic.contained[0].id",
    ),
    (
        "<Basic xmlns='F'><contained><Foo/></contained></Basic>",
        "line 1, column 47: 'Foo' is not a resource type of FHIR R4 @ Basic.contained[0]",
    ),
];

#[test]
fn each_fault_of_form_is_told_with_its_place() {
    for (xml, expected) in FAULTS {
        check(xml, &[expected]);
    }
}

#[test]
fn numbers_are_written_as_r4_writes_them() {
    let quantity = |value: &str| {
        spelled(&format!(
            "<Observation xmlns='F'><valueQuantity><value value=\"{value}\"/></valueQuantity></Observation>"
        ))
    };
    for good in ["0", "-0", "0.10", "-1.5", "1e5", "1E+5", "1.0e-10", "100000000000000000000000.00"] {
        assert!(json_of(&quantity(good)).unwrap().contains(&format!("\"value\":{good}}}")), "{good}");
    }
    for bad in ["+1", "01", ".5", "5.", "1e", "1e+", "--1", "-", "NaN", "1,5", " 1", "0x1", "1.5.1", "1e5e5", "\u{661}"]
    {
        let text =
            format!("line 1, column 64: expected a decimal such as 1.50, without '+' and leading zeros, found '{bad}'");
        let found = json_of(&quantity(bad)).unwrap_err();
        assert_eq!(found, [format!("{text} @ Observation.value.value")]);
    }
    let plus = "<Patient xmlns='F'><multipleBirthInteger value=\"+2\"/></Patient>";
    assert!(json_of(&spelled(plus)).unwrap().contains("\"multipleBirthInteger\":2}"));
}

#[test]
fn all_faults_are_told_at_once_in_their_order() {
    check(
        "<Bundle xmlns='F'>\n <entry>\n  <resource><Patient>\n   <foo><bar/></foo>\n   <birthDate value=\"\"/>\n   <active value=\"é\" x=\"1\"/>\n  </Patient></resource>\n </entry>\n <entry><bar/></entry>\n</Bundle>",
        &[
            "line 4, column 4: Patient has no element 'foo' @ Bundle.entry[0].resource.foo",
            "line 5, column 15: expected a value, found an empty one @ Bundle.entry[0].resource.birthDate",
            "line 6, column 4: expected 'active' before 'birthDate', in R4's order @ Bundle.entry[0].resource.active",
            "line 6, column 12: expected 'true' or 'false', found 'é' @ Bundle.entry[0].resource.active",
            "line 6, column 22: a primitive has no attribute 'x' @ Bundle.entry[0].resource.active.x",
            "line 9, column 9: Bundle.entry has no element 'bar' @ Bundle.entry[1].bar",
        ],
    );
}

#[test]
fn what_is_not_well_formed_ends_the_reading() {
    for (xml, expected) in [
        ("", "line 1, column 1: expected an element"),
        ("\u{feff}\u{feff}\"", "line 1, column 1: expected one byte order mark at most"),
        ("{}", "line 1, column 1: not well-formed XML: expected one element and nothing outside it"),
        ("<Basic xmlns='F'/><Basic xmlns='F'/>", "not well-formed XML: expected one element and nothing outside it"),
        ("<Basic xmlns='F'/>a", "not well-formed XML: expected one element and nothing outside it"),
        ("<Basic xmlns='F'>", "not well-formed XML: an element is not closed"),
        ("<Basic xmlns='F'></Patient>", "not well-formed XML: ill-formed document"),
        ("<Basic xmlns='F'><id value=\"a\"", "not well-formed XML"),
        ("<Basic xmlns='F'><id value=a/></Basic>", "not well-formed XML: expected an attribute's value in quotes"),
        ("<Basic xmlns='F'><id value/></Basic>", "not well-formed XML: expected '=' after an attribute's name"),
        ("<Basic xmlns='F'><id value=\"<\"/></Basic>", "not well-formed XML: expected '&lt;' instead of '<'"),
        (
            "<Basic xmlns='F'><id id=\"a\"value=\"b\"/></Basic>",
            "not well-formed XML: expected space before an attribute",
        ),
        (
            "<Basic xmlns='F'><id value=\"a\" value=\"b\"/></Basic>",
            "not well-formed XML: the attribute 'value' is repeated",
        ),
        ("<Basic xmlns='F'><id value=\"&nbsp;\"/></Basic>", "not well-formed XML: expected '&amp;'"),
        ("<Basic xmlns='F'><id value=\"&#0;\"/></Basic>", "not well-formed XML: expected '&amp;'"),
        ("<Basic xmlns='F'><id value=\"&#xd800;\"/></Basic>", "not well-formed XML: expected '&amp;'"),
        ("<Basic xmlns='F'><id value=\"&#+65;\"/></Basic>", "not well-formed XML: expected '&amp;'"),
        ("<Basic xmlns='F'><id value=\"&amp\"/></Basic>", "not well-formed XML: expected '&amp;'"),
        ("<Basic xmlns='F'><text><div xmlns='H'>&copy;</div></text></Basic>", "not well-formed XML: expected '&amp;'"),
        ("<Basic xmlns='F'><text><div xmlns='H'><p>]]></p></div></text></Basic>", "expected ']]&gt;' in text"),
        ("<Basic xmlns='F'><text><div xmlns='H'><p a='1' a='2'/></div></text></Basic>", "'a' is repeated"),
        ("<Basic xmlns='F'><text><div xmlns='H'><1/></div></text></Basic>", "'1' is no element name"),
        ("<Basic xmlns='F'><!-- a -- b --></Basic>", "not well-formed XML"),
        ("<Basic xmlns='F'><x:id value=\"a\"/></Basic>", "the namespace prefix 'x' is not declared"),
        ("<Basic xmlns='F'><id x:value=\"a\"/></Basic>", "the namespace prefix 'x' is not declared"),
        ("<a:Basic xmlns:a=\"\"/>", "this prefix cannot be bound to this namespace"),
        ("<Basic xmlns='F' xmlns:xml=\"urn:x\"/>", "this prefix cannot be bound to this namespace"),
        ("<Basic xmlns='F'>\u{1}</Basic>", "expected no control characters"),
        ("<Basic xmlns='F'><id value=\"\u{ffff}\"/></Basic>", "expected no control characters"),
        ("<?xml version=\"1.1\"?><Basic xmlns='F'/>", "line 1, column 7: expected XML version 1.0"),
        ("<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><Basic xmlns='F'/>", "expected the encoding UTF-8"),
        (" <?xml version=\"1.0\"?><Basic xmlns='F'/>", "expected an XML declaration only at the very start"),
        ("<Basic xmlns='F'><?xml version=\"1.0\"?></Basic>", "expected an XML declaration only at the very start"),
    ] {
        let found = json_of(&spelled(xml)).unwrap_err();
        assert!(found.len() == 1 && found[0].contains(expected), "{xml}: {found:?}");
    }
}

#[test]
fn there_is_no_dtd_and_no_entity() {
    for xml in [
        "<!DOCTYPE Basic><Basic xmlns='F'/>",
        "<!DOCTYPE Basic SYSTEM \"http://localhost/x.dtd\"><Basic xmlns='F'/>",
        "<?xml version=\"1.0\"?><!DOCTYPE Basic [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><Basic xmlns='F'><id value=\"&x;\"/></Basic>",
        "<!DOCTYPE lolz [<!ENTITY a \"a\"><!ENTITY b \"&a;&a;&a;&a;\"><!ENTITY c \"&b;&b;&b;&b;\">]><Basic xmlns='F'><id value=\"&c;\"/></Basic>",
        "<Basic xmlns='F'><!DOCTYPE x></Basic>",
    ] {
        let found = json_of(&spelled(xml)).unwrap_err();
        assert!(found.len() == 1 && found[0].ends_with("expected no document type declaration (DTD)"), "{found:?}");
    }
}

#[test]
fn depth_is_limited_as_in_json() {
    let nested = |levels: usize| {
        let open = "<extension url=\"u\">".repeat(levels);
        spelled(&format!("<Basic xmlns='F'>{open}<valueString value=\"a\"/>{}</Basic>", "</extension>".repeat(levels)))
    };
    // The root is one level, each extension an array and an object.
    assert!(json_of(&nested(31)).is_ok());
    let found = json_of(&nested(32)).unwrap_err();
    assert!(found.len() == 1 && found[0].contains("expected at most 64 levels of elements"), "{found:?}");
    assert!(json_of(&nested(200_000)).is_err());
    let contained = "<contained><Basic>".repeat(100_000);
    assert!(json_of(&spelled(&format!("<Basic xmlns='F'>{contained}"))).is_err());
}

#[test]
fn a_hostile_document_costs_no_more_than_its_size() {
    const MANY: usize = 200_000;
    let mut attributes = String::new();
    let mut prefixes = String::new();
    for number in 0..MANY {
        let _ = write!(attributes, " a{number}=\"\"");
        let _ = write!(prefixes, " xmlns:a{number}=\"urn:a\"");
    }
    let faults = "<foo/>\n".repeat(MANY);
    let nested = format!("{}{}", "<p>".repeat(MANY), "</p>".repeat(MANY));
    let shadows = "<given value=\"a\"/>".repeat(MANY) + "<given id=\"a\"/>";
    for (inner, issues) in [
        (format!("<id{attributes}/>"), 101),
        (format!("<id{prefixes}/>"), 1),
        (faults, 101),
        (format!("<foo>{nested}</foo>"), 1),
        (format!("<text><div xmlns='H'>{nested}</div></text>"), 0),
        (format!("<text><div xmlns='H'><p{attributes}/></div></text>"), 0),
        (format!("<name>{shadows}</name>"), 0),
    ] {
        let found = json_of(&spelled(&format!("<Patient xmlns='F'>{inner}</Patient>")));
        assert_eq!(found.err().map_or(0, |found| found.len()), issues, "{}", &inner[..20]);
    }
}
