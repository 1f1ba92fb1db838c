use super::{FHIR, NotXml, XHTML, read, write};
use crate::fhir::{
    json::{Doc, Limits},
    tree::Tree,
};

mod generated;
mod refused;

fn json_of(xml: &str) -> Result<String, Vec<String>> {
    read(xml, &Limits::default()).map_err(|issues| {
        let place = |path: Option<String>| path.map(|path| format!(" @ {path}")).unwrap_or_default();
        issues.into_iter().map(|issue| format!("{}{}", issue.text, place(issue.expression))).collect()
    })
}

fn xml_of(json: &str) -> Result<String, NotXml> {
    let doc = Doc::parse(json, &Limits::default()).unwrap();
    write(&Tree::of_resource(&doc))
}

/// `F` stands for FHIR's namespace, `H` for XHTML's.
fn spelled(xml: &str) -> String {
    xml.replace("='F'", &format!("=\"{FHIR}\"")).replace("='H'", &format!("=\"{XHTML}\""))
}

#[test]
fn documents_have_this_one_form_in_each_format() {
    for (json, xml) in [
        (r#"{"resourceType":"Basic"}"#, "<Basic xmlns='F'/>"),
        (
            r#"{"resourceType":"Patient","id":"a","active":true,"multipleBirthInteger":3}"#,
            r#"<Patient xmlns='F'><id value="a"/><active value="true"/><multipleBirthInteger value="3"/></Patient>"#,
        ),
        (
            r#"{"resourceType":"Patient","name":[{"id":"n","family":"A & B <\"'\\>","given":["C","D"]},{"text":"a\tb\r\nc"}]}"#,
            r#"<Patient xmlns='F'><name id="n"><family value="A &amp; B &lt;&quot;'\>"/><given value="C"/><given value="D"/></name><name><text value="a&#9;b&#13;&#10;c"/></name></Patient>"#,
        ),
        (
            r#"{"resourceType":"Patient","birthDate":"1970-03-30","_birthDate":{"id":"b","extension":[{"url":"http://e","valueString":"Easter"}]}}"#,
            r#"<Patient xmlns='F'><birthDate id="b" value="1970-03-30"><extension url="http://e"><valueString value="Easter"/></extension></birthDate></Patient>"#,
        ),
        (
            r#"{"resourceType":"Patient","name":[{"given":["A",null,"C",null],"_given":[null,{"id":"x"},null,{"id":"y"}]}]}"#,
            r#"<Patient xmlns='F'><name><given value="A"/><given id="x"/><given value="C"/><given id="y"/></name></Patient>"#,
        ),
        (
            r#"{"resourceType":"Patient","name":[{"_given":[{"id":"x"}]},{"given":["A","B"],"_given":[{"id":"x"},null]}]}"#,
            r#"<Patient xmlns='F'><name><given id="x"/></name><name><given id="x" value="A"/><given value="B"/></name></Patient>"#,
        ),
        (
            r#"{"resourceType":"Observation","_status":{"id":"s"},"valueQuantity":{"value":1.0e2,"_value":{"id":"v"}},"component":[{"valueQuantity":{"value":-0.00}},{"valueQuantity":{"value":12345678901234567890.10}}]}"#,
            r#"<Observation xmlns='F'><status id="s"/><valueQuantity><value id="v" value="1.0e2"/></valueQuantity><component><valueQuantity><value value="-0.00"/></valueQuantity></component><component><valueQuantity><value value="12345678901234567890.10"/></valueQuantity></component></Observation>"#,
        ),
        (
            r#"{"resourceType":"Basic","text":{"status":"generated","div":"<div xmlns=\"H\">\n<p class='a'>1 &lt; 2 &#160;<br /></p><!-- c --></div>"},"contained":[{"resourceType":"Basic","id":"c"},{"resourceType":"Binary","contentType":"a/b"}]}"#,
            "<Basic xmlns='F'><text><status value=\"generated\"/><div xmlns='H'>\n<p class='a'>1 &lt; 2 &#160;<br /></p><!-- c --></div></text><contained><Basic><id value=\"c\"/></Basic></contained><contained><Binary><contentType value=\"a/b\"/></Binary></contained></Basic>",
        ),
        (
            r#"{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"urn:a","resource":{"resourceType":"Basic"}}]}"#,
            r#"<Bundle xmlns='F'><type value="collection"/><entry><fullUrl value="urn:a"/><resource><Basic/></resource></entry></Bundle>"#,
        ),
    ] {
        let (json, xml) = (json.replace("\\\"H\\\"", &format!("\\\"{XHTML}\\\"")), spelled(xml));
        assert_eq!(xml_of(&json).as_deref(), Ok(&*xml), "{json}");
        assert_eq!(json_of(&xml).as_deref(), Ok(&*json), "{xml}");
    }
}

#[test]
fn xml_in_another_form_says_the_same() {
    let json = r#"{"resourceType":"Patient","active":true,"birthDate":"1970"}"#;
    for xml in [
        "\u{feff}<?xml version=\"1.0\" encoding='utf-8' standalone=\"yes\" ?>\n<!-- a --><?xml-stylesheet href=\"a\"?>\n<Patient xmlns='F'>\n  <!-- b -->\n  <active value='true'></active>\t<?pi?><birthDate\n\tvalue = \"1970\"\r\n/>\n</Patient >\n<!-- c -->\n",
        "<f:Patient xmlns:f='F'><f:active value=\"true\"/><f:birthDate value=\"1970\"/></f:Patient>",
        "<f:Patient xmlns:f='F' xmlns='urn:x'><active xmlns='F' value=\"true\"/><g:birthDate xmlns:g='F' value=\"1970\"/></f:Patient>",
        "<Patient xmlns='F' xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:schemaLocation=\"http://hl7.org/fhir patient.xsd\"><active value=\"tr&#x75;e\"/><birthDate value=\"&#49;970\"/></Patient>",
    ] {
        let xml = spelled(xml);
        if xml.contains("tr&#x75;e") {
            // A boolean is written plainly; a date may be spelled as one likes.
            assert!(json_of(&xml).is_err());
            assert_eq!(json_of(&xml.replace("tr&#x75;e", "true")).as_deref(), Ok(json));
        } else {
            assert_eq!(json_of(&xml).as_deref(), Ok(json), "{xml}");
        }
    }
}

#[test]
fn members_are_written_in_the_order_of_r4() {
    let json = r#"{"birthDate":"1970","extension":[{"valueString":"a","url":"u","id":"e"}],"name":[{"given":["A"],"family":"B"}],"id":"p","resourceType":"Patient"}"#;
    let xml = spelled(
        r#"<Patient xmlns='F'><id value="p"/><extension id="e" url="u"><valueString value="a"/></extension><name><family value="B"/><given value="A"/></name><birthDate value="1970"/></Patient>"#,
    );
    assert_eq!(xml_of(json), Ok(xml));
}

#[test]
fn narrative_can_stand_alone_in_json() {
    for (xml, div) in [
        // Prefixes and namespaces from outside.
        (
            "<Basic xmlns='F' xmlns:h='H'><text><h:div><h:p class=\"a\" title='\"'>x<h:br/></h:p></h:div></text></Basic>",
            "<div xmlns='H'><p class=\"a\" title='\"'>x<br/></p></div>",
        ),
        (
            "<f:Basic xmlns:f='F' xmlns='H'><f:text><div xml:lang=\"en\">a &amp; b</div></f:text></f:Basic>",
            "<div xmlns='H' xml:lang=\"en\">a &amp; b</div>",
        ),
        ("<Basic xmlns='F'><text><h:div xmlns:h='H'/></text></Basic>", "<div xmlns='H'/>"),
        // What HTML readers take for something else.
        (
            "<Basic xmlns='F'><text><div xmlns='H'><![CDATA[<b> &]]></div></text></Basic>",
            "<div xmlns='H'>&lt;b&gt; &amp;</div>",
        ),
        (
            "<Basic xmlns='F'><text><div xmlns='H'><p xmlns='H'>\r\n</p> </div></text></Basic>",
            "<div xmlns='H'><p xmlns='H'>\r\n</p> </div>",
        ),
    ] {
        let json = json_of(&spelled(xml)).unwrap();
        let doc = Doc::parse(&json, &Limits::default()).unwrap();
        assert_eq!(doc.root().at("text.div")[0].as_str().unwrap(), spelled(div));
        let again = xml_of(&json).unwrap();
        assert_eq!(json_of(&again), Ok(json), "{again}");
    }
}

#[test]
fn what_has_no_xml_form_is_named() {
    let forgotten = r#"{"resourceType":"Basic","text":{"div":"  <div><p>a</p></div>\n"}}"#;
    let xml = spelled("<Basic xmlns='F'><text><div xmlns='H'><p>a</p></div></text></Basic>");
    assert_eq!(xml_of(forgotten), Ok(xml));
    for (json, path) in [
        (r#"{"resourceType":"Patient","foo":1}"#, "Patient.foo"),
        (r#"{"resourceType":"Patient","name":{}}"#, "Patient.name"),
        (r#"{"resourceType":"Foo"}"#, "Resource.resourceType"),
        (r#"{"resourceType":"Patient","name":[{"family":"a\u0001"}]}"#, "Patient.name[0].family"),
        (r#"{"resourceType":"Patient","name":[{},{"text":"\uffff"}]}"#, "Patient.name[0]"),
        (r#"{"resourceType":"Patient","name":[{"text":"\uffff"}]}"#, "Patient.name[0].text"),
        (r#"{"resourceType":"Patient","language":""}"#, "Patient.language"),
        (r#"{"resourceType":"Patient","extension":[{"url":"u","_url":{"id":"a"}}]}"#, "Patient.extension[0].url"),
        (r#"{"resourceType":"Basic","text":{"div":"<div>a<br></div>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<div>&nbsp;</div>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<div/></text><id value='x'/><text>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<?xml version='1.0'?><div/>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<!DOCTYPE div><div/>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<div xmlns=''/>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<div><h:p/></div>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<div a='1' a='2'/>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"<p/>"}}"#, "Basic.text.div"),
        (r#"{"resourceType":"Basic","text":{"div":"text"}}"#, "Basic.text.div"),
    ] {
        assert_eq!(xml_of(json).map_err(|not| not.path), Err(path.to_owned()), "{json}");
    }
}
