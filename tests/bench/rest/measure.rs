//! Asking and timing.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use futures_util::future::try_join_all;
use serde_json::Value;

use super::row::{Ask, Row, Source};
use super::service::{Answer, Service};
use super::table::Figures;

/// Connections for throughput.
const CONNECTIONS: usize = 8;

/// Requests before the clock runs: plans, caches and the connection are made by them.
const WARM_UP: u64 = 10;

/// Pages whose `next` link is followed.
const PAGES: u64 = 20;

/// Numbers of requests go on over all rows and runs, so that no two writes are alike.
static NUMBER: AtomicU64 = AtomicU64::new(0);

/// One row, measured for `length` with one connection, then for `length` with eight.
pub async fn measure(row: &Row, source: &Source<'_>, length: Duration) -> Result<Figures> {
    let links = if row.next_page { next_links(row, source).await? } else { Vec::new() };
    let asker = Asker { row, source, links: &links, found: &AtomicBool::new(false) };
    let service = source.service.beside()?;
    service.keep_alive().await?;
    for _ in 0..WARM_UP {
        asker.ask(&service).await?;
    }
    let mut times = asker.ask_for(&service, length).await?;
    ensure!(!row.finds || asker.found.load(Ordering::Relaxed), "no answer held a match, so nothing was measured");
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let (median, p99, requests) = (at(0.5), at(0.99), times.len());
    let services = (0..CONNECTIONS).map(|_| source.service.beside()).collect::<Result<Vec<_>>>()?;
    // Connections are opened outside the measured time.
    try_join_all(services.iter().map(|service| asker.ask(service))).await?;
    service.keep_alive().await?;
    let begun = Instant::now();
    let done = try_join_all(services.iter().map(|service| asker.ask_for(service, length))).await?;
    let done: usize = done.iter().map(Vec::len).sum();
    Ok(Figures { median, p99, requests, per_second: done as f64 / begun.elapsed().as_secs_f64() })
}

struct Asker<'a> {
    row: &'a Row,
    source: &'a Source<'a>,
    links: &'a [String],
    found: &'a AtomicBool,
}

impl Asker<'_> {
    /// As many requests as fit, one after another; how long each took.
    async fn ask_for(&self, service: &Service, length: Duration) -> Result<Vec<Duration>> {
        let begun = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || begun.elapsed() < length {
            times.push(self.ask(service).await?.took);
        }
        Ok(times)
    }

    async fn ask(&self, service: &Service) -> Result<Answer> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let ask = match self.links.get((number % self.links.len().max(1) as u64) as usize) {
            Some(link) => Ask::get(link.as_str()),
            None => (self.row.make)(self.source.samples, number),
        };
        let answer = service.ask(&ask).await?;
        check(self.row, &ask, &answer)?;
        if answer.body.contains("\"fullUrl\"") {
            self.found.store(true, Ordering::Relaxed);
        }
        Ok(answer)
    }
}

fn check(row: &Row, ask: &Ask, answer: &Answer) -> Result<()> {
    if row.right.contains(&answer.status) {
        return Ok(());
    }
    let start: String = answer.body.chars().take(400).collect();
    bail!("{} {} was answered {}: {start}", ask.method, ask.path, answer.status);
}

/// The `next` links of the first page and of those after it.
async fn next_links(row: &Row, source: &Source<'_>) -> Result<Vec<String>> {
    let mut links = Vec::new();
    let mut ask = (row.make)(source.samples, 0);
    for _ in 0..PAGES {
        let answer = source.service.ask(&ask).await?;
        check(row, &ask, &answer)?;
        let page: Value = serde_json::from_str(&answer.body)?;
        let all = page["link"].as_array().into_iter().flatten();
        let next = all.filter(|link| link["relation"] == "next").find_map(|link| link["url"].as_str());
        let Some(next) = next else { break };
        links.push(next.to_owned());
        ask = Ask::get(next);
    }
    ensure!(!links.is_empty(), "the first page has no next link");
    Ok(links)
}
