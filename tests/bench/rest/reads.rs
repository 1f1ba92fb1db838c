//! Reading what is known by its id.

use super::row::{Ask, Row};

pub fn rows() -> Vec<Row> {
    vec![
        Row::new("floor: GET /livez", &[200], |_, _| Ask::get("/livez")),
        Row::new("metadata", &[200], |_, _| Ask::get("metadata")),
        Row::new("read", &[200], |samples, number| {
            Ask::get(format!("Observation/{}", samples.id("Observation", number)))
        }),
        Row::new("read, not modified", &[304], |samples, number| {
            Ask::get(format!("Patient/{}", samples.id("Patient", number))).with("if-none-match", "W/\"1\"")
        }),
        Row::new("vread", &[200], |samples, number| {
            Ask::get(format!("Observation/{}/_history/1", samples.id("Observation", number)))
        }),
        Row::search("history of one", |samples, number| format!("Patient/{}/_history", samples.id("Patient", number))),
        Row::search("history of a type", |_, _| "Observation/_history?_count=10".to_owned()),
        Row::search("history of all", |_, _| "_history?_count=10".to_owned()),
    ]
}
