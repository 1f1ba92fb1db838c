//! Isolation as a property: whatever is asked, the answer is the one that would be given if the hidden data did not exist.
//!
//! There is a world in which several launches hold data that look alike: two of one PoC, one of another PoC of the same
//! organisation, one of another organisation, besides the jurisdiction's; in one of them, data about its patient that granular
//! scopes do not let through. For each of those who ask there is a twin of it
//! without what they may not see. A seeded stream of requests of every kind is put to both. Then
//!
//! - no marker and no id of the hidden data stands in an answer that the twin does not give too, knowing them from the
//!   requests alone;
//! - the answers are equal in status, headers and body: so nothing is counted, sorted by, paged over or refused because of
//!   what is hidden;
//! - nothing hidden was changed.
//!
//! What is not built yet answers alike in both worlds. `SOFA_PROPERTY_REQUESTS` is the number of requests (300),
//! `SOFA_PROPERTY_SEED` another stream.
//!
//! | Part | File |
//! |---|---|
//! | whose data, and who asks | `cast` |
//! | the data | `data` |
//! | servers that hold some of them | `worlds` |
//! | the requests | `request`, `search`, `probe` |
//! | the verdict | `compare` |

mod cast;
mod compare;
mod data;
mod probe;
mod request;
mod search;
mod worlds;

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use serde_json::Value;
use sofa::access::Walls;
use sofa::load::Chance;

use self::cast::{Side, Who};
use self::compare::{Leak, changed, comparable, difference, told};
use self::request::{Maker, Request, hidden_from};
use self::search::Names;
use self::worlds::{Answered, World};
use crate::support::server::Options;

/// The stream of a run that names none: the same every time, so that a failure is the change's.
const SEED: u64 = 20_260;

/// Requests of a run that names no number.
const REQUESTS: u64 = 300;

/// Pages that are followed after a first one.
const PAGES: usize = 2;

/// A leak and the request that brought it to light.
struct Finding {
    who: Who,
    asked: String,
    leak: Leak,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} asked {}", self.who, self.asked)?;
        match &self.leak {
            Leak::Told { side, word } => writeln!(f, "  and was told of {side:?}: {word}"),
            Leak::Differs { with, without } => {
                writeln!(f, "  with the hidden data:\n{with}\n  without them:\n{without}")
            }
            Leak::Changed(what) => writeln!(f, "  and changed {what}"),
            Leak::Failed(text) => writeln!(f, "  and the server failed: {text}"),
        }
    }
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// What kinds of answers there were: a property of requests that are all refused would be none.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<u16, usize>,
    /// Bundles with entries.
    found: usize,
}

impl Tally {
    fn count(&mut self, answer: &Answered) {
        *self.statuses.entry(answer.status).or_default() += 1;
        self.found += usize::from(answer.status == 200 && answer.text.contains("\"fullUrl\""));
    }
}

/// The world of all, and for each of those who ask the one without what is hidden from them.
struct Worlds {
    full: World,
    twins: Vec<(&'static [Who], World)>,
    tally: Tally,
}

impl Worlds {
    async fn build(options: impl Fn() -> Options<'static>) -> Self {
        let full = World::build(&Side::ALL, options(), None).await;
        let twin = |who: Who| World::build(who.sees(), options(), Some(&full));
        let (granular, patient, user) = tokio::join!(twin(Who::GranularApp), twin(Who::PatientApp), twin(Who::UserApp));
        let (poc, standalone, service) = tokio::join!(twin(Who::Poc), twin(Who::Standalone), twin(Who::Service));
        let twins: Vec<(&'static [Who], World)> = vec![
            (&[Who::GranularApp], granular),
            (&[Who::GranularApp, Who::PatientApp], patient),
            (&[Who::GranularApp, Who::PatientApp, Who::UserApp], user),
            (&[Who::GranularApp, Who::PatientApp, Who::UserApp, Who::Poc], poc),
            (&[Who::Standalone], standalone),
            (&[Who::Service, Who::Nobody], service),
        ];
        Self { full, twins, tally: Tally::default() }
    }

    /// Puts `requests` requests of the stream `seed` to all.
    async fn examine(&mut self, seed: u64, requests: u64) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (at, who) in Who::ALL.into_iter().enumerate() {
            let mut chance = Chance::of(seed, at as u64, 0);
            let before = self.full.stored().await;
            for number in 0..((requests as f64 * who.share()).ceil() as usize) {
                let names = Names::new(who, self.full.names.iter());
                let links: Vec<String> = {
                    let hidden: Vec<Side> = hidden_from(who).collect();
                    let of_others = self.full.links.iter().filter(|(side, _)| hidden.contains(side));
                    of_others.map(|(_, link)| link.clone()).collect()
                };
                let request = Maker { who, chance: &mut chance, names: &names, links: &links }.request(number);
                self.put(who, &request, number, &mut findings).await;
            }
            let after = self.full.stored().await;
            let asked = "something in this run".to_owned();
            let of = changed(who, &self.full, &before, &after).into_iter();
            findings.extend(of.map(|leak| Finding { who, asked: asked.clone(), leak }));
        }
        findings
    }

    /// Asks in the world of all and in every twin in which `who` is or whose later askers must find what `who` writes;
    /// judges; follows pages.
    async fn put(&mut self, who: Who, request: &Request, number: usize, findings: &mut Vec<Finding>) {
        let mut next = Some((request.clone(), request.clone()));
        let mut pages = 0;
        while let Some((in_full, in_twin)) = next.take() {
            let answer = self.full.ask(who, &in_full, &self.full).await;
            self.tally.count(&answer);
            let mut leaks = Vec::new();
            if answer.status >= 500 {
                leaks.push(Leak::Failed(format!("{} {}", answer.status, answer.text)));
            }
            let mut others = Vec::new();
            for (index, (askers, twin)) in self.twins.iter().enumerate() {
                let is_twin = askers.last() == Some(&who) || (who == Who::Service && askers.contains(&who));
                let reads = matches!(in_twin.method, "GET" | "HEAD") || in_twin.form;
                if askers.contains(&who) && (is_twin || !reads) {
                    let other = twin.ask(who, &in_twin, &self.full).await;
                    others.push((index, is_twin, other));
                }
            }
            for (index, is_twin, other) in &others {
                let twin = &self.twins[*index].1;
                if *is_twin {
                    leaks.extend(told(who, &self.full, &answer, other));
                    let here = comparable(who, &self.full, &self.full, &answer);
                    leaks.extend(difference(&here, &comparable(who, twin, &self.full, other)));
                    next = follow(&self.full, &answer, twin, other).filter(|_| pages < PAGES);
                    pages += 1;
                }
            }
            let asked = in_full.to_string();
            findings.extend(leaks.into_iter().map(|leak| Finding { who, asked: asked.clone(), leak }));
            self.remember(who, number, &answer, &others);
        }
    }

    /// Gives a name to what was created everywhere, so that it can be asked for.
    fn remember(&mut self, who: Who, number: usize, answer: &Answered, others: &[(usize, bool, Answered)]) {
        let Some(reference) = created(answer) else { return };
        let name = format!("{}.{}-{number}", who.writes().name(), who.name());
        self.full.names.insert(name.clone(), reference);
        for (index, _, other) in others {
            if let Some(reference) = created(other) {
                self.twins[*index].1.names.insert(name.clone(), reference);
            }
        }
    }
}

/// `Type/id` of what an answer says was created.
fn created(answer: &Answered) -> Option<String> {
    let (_, location) = answer.headers.iter().find(|(name, _)| name == "location" && answer.status == 201)?;
    let below = location.split("/fhir/").nth(1)?;
    Some(below.split("/_history/").next()?.to_owned())
}

/// The requests for the next pages of two answers, if both have one.
fn follow(full: &World, answer: &Answered, twin: &World, other: &Answered) -> Option<(Request, Request)> {
    let next = |world: &World, answer: &Answered| {
        let body: Value = serde_json::from_str(&answer.text).ok()?;
        let links = body["link"].as_array()?.iter();
        let url =
            links.filter(|link| link["relation"] == "next").find_map(|link| link["url"].as_str().map(str::to_owned))?;
        Some(Request::new("GET", url.strip_prefix(&world.server.fhir)?.trim_start_matches('/')))
    };
    Some((next(full, answer)?, next(twin, other)?))
}

/// Puts a `part`th of the requests of the stream to worlds with these walls; what came out.
async fn run(walls: Walls, part: u64) -> Vec<Finding> {
    let (seed, requests) = (number("SOFA_PROPERTY_SEED", SEED), number("SOFA_PROPERTY_REQUESTS", REQUESTS) / part);
    println!("SOFA_PROPERTY_SEED={seed} SOFA_PROPERTY_REQUESTS={requests} {walls:?}");
    let begun = Instant::now();
    let mut worlds = Worlds::build(|| Options { walls, ..Options::default() }).await;
    println!("the worlds stand after {:.1} s", begun.elapsed().as_secs_f64());
    let findings = worlds.examine(seed, requests).await;
    let Tally { statuses, found } = &worlds.tally;
    println!("{statuses:?}, {found} Bundles with entries, after {:.1} s", begun.elapsed().as_secs_f64());
    assert!(*found as u64 * 5 > requests, "too few requests find anything");
    findings
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_tells_of_what_is_hidden() {
    assert_none(&run(Walls::default(), 1).await);
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn the_database_alone_hides_it() {
    assert_none(&run(Walls { without_code: true, ..Walls::default() }, 2).await);
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn the_code_alone_hides_it() {
    assert_none(&run(Walls { without_database: true, ..Walls::default() }, 2).await);
}

#[cfg(debug_assertions)]
#[tokio::test(flavor = "multi_thread")]
async fn without_both_walls_the_leak_is_noticed() {
    let findings = run(Walls { without_code: true, without_database: true }, 2).await;
    let told = |side: Side| findings.iter().any(|one| matches!(&one.leak, Leak::Told { side: of, .. } if *of == side));
    for side in [Side::Next, Side::Colleague, Side::Foreign] {
        assert!(told(side), "nothing of {side:?} was noticed among {} findings", findings.len());
    }
    assert!(findings.iter().any(|one| matches!(one.leak, Leak::Differs { .. })), "no difference was noticed");
}

fn assert_none(findings: &[Finding]) {
    let texts: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(texts.is_empty(), "{} findings\n{}", texts.len(), texts.join("\n"));
}
