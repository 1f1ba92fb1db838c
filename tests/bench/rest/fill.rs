//! Writing the records, as a jurisdiction's feed would: transactions of a hundred, several at a time.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sofa::load::{self, Generated};
use tokio::sync::{Mutex, mpsc};

use super::row::Ask;
use super::sample::Samples;
use super::service::Service;

/// Resources in a transaction.
const TOGETHER: usize = 100;

/// Transactions at a time.
const WRITERS: usize = 6;

/// Writes `total` resources; what was written is sampled.
pub async fn fill(service: &Service, seed: u64, total: u64) -> Result<Samples> {
    let begun = Instant::now();
    let (sender, bundles) = mpsc::channel::<String>(WRITERS);
    let bundles = Arc::new(Mutex::new(bundles));
    let writers: Vec<_> = (0..WRITERS).map(|_| tokio::spawn(write_all(service.clone(), bundles.clone()))).collect();
    // The channel closes when the last writer has failed.
    drop(bundles);
    let samples = tokio::task::spawn_blocking(move || feed(seed, total, begun, &sender)).await?;
    for writer in writers {
        writer.await??;
    }
    let seconds = begun.elapsed().as_secs_f64();
    println!("\r\x1b[K{total} resources written in {seconds:.1} s: {:.0} a second", total as f64 / seconds);
    Ok(samples)
}

/// Makes the transactions; ends early when nobody takes them any more.
fn feed(seed: u64, total: u64, begun: Instant, sender: &mpsc::Sender<String>) -> Samples {
    let mut samples = Samples::default();
    let mut entries = String::new();
    let mut told = begun;
    for (at, one) in load::resources(seed, total).enumerate() {
        samples.see(&one);
        if !entries.is_empty() {
            entries.push(',');
        }
        entries.push_str(&entry(&one));
        let done = at + 1;
        if done % TOGETHER == 0 || done as u64 == total {
            let bundle = format!(r#"{{"resourceType":"Bundle","type":"transaction","entry":[{entries}]}}"#);
            if sender.blocking_send(bundle).is_err() {
                break;
            }
            entries.clear();
        }
        if told.elapsed() > Duration::from_secs(1) {
            told = Instant::now();
            let rate = done as f64 / begun.elapsed().as_secs_f64();
            print!("\r\x1b[K{done} of {total} resources, {rate:.0} a second");
            let _shown = std::io::stdout().flush();
        }
    }
    samples
}

fn entry(one: &Generated) -> String {
    let mut entry = String::new();
    let reference = one.reference();
    let _infallible = write!(entry, r#"{{"resource":{},"request":{{"method":"PUT","url":"{reference}"}}}}"#, one.body);
    entry
}

async fn write_all(service: Service, bundles: Arc<Mutex<mpsc::Receiver<String>>>) -> Result<()> {
    loop {
        let next = bundles.lock().await.recv().await;
        let Some(bundle) = next else { return Ok(()) };
        write(&service, bundle).await?;
    }
}

async fn write(service: &Service, bundle: String) -> Result<()> {
    service.keep_alive().await?;
    let answer = service.ask(&Ask::post("", bundle).minimal()).await?;
    if answer.status != 200 {
        let start: String = answer.body.chars().take(600).collect();
        bail!("a transaction was answered {}: {start}", answer.status);
    }
    Ok(())
}
