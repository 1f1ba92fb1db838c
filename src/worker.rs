//! Named background loops: each does one thing at an interval until the shutdown.

use std::{sync::Arc, time::Duration};

use tokio::{task::JoinHandle, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    access::audit,
    context::expiry,
    interaction::{Engine, Failure, subscription, write},
    oauth::{self, OauthState},
    store::presence::Presence,
    token::key_set::KeySet,
};

/// Starts all loops. Each runs once at once: what a killed process left behind is looked after at start.
pub fn start(
    engine: &Engine,
    oauth: &OauthState,
    keys: &Arc<KeySet>,
    shutdown: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let lease = engine.config.delivery.lease;
    vec![
        tokio::spawn(presence(engine.clone(), shutdown.clone())),
        tokio::spawn(count_strangers(engine.clone(), shutdown.clone())),
        spawn("recovery", lease / 4, engine, shutdown, |engine| async move { write::recover(&engine).await }),
        spawn(
            "handshakes",
            lease,
            engine,
            shutdown,
            |engine| async move { subscription::resume_handshakes(&engine).await },
        ),
        spawn("expiry", Duration::from_secs(5), engine, shutdown, |engine| async move { expiry::sweep(&engine).await }),
        spawn("ended Subscriptions", Duration::from_secs(5), engine, shutdown, |engine| async move {
            subscription::switch_off_ended(&engine).await
        }),
        spawn("signing keys", Duration::from_secs(600), engine, shutdown, {
            let oauth = oauth.clone();
            move |_| rotate_keys(oauth.clone())
        }),
        spawn("audit seals", Duration::from_secs(10), engine, shutdown, {
            let keys = keys.clone();
            move |engine| seal_audit(engine, keys.clone())
        }),
        spawn("used-up grants", Duration::from_secs(600), engine, shutdown, |engine| async move {
            Ok(oauth::sweep(&engine.pool, engine.now()).await?)
        }),
    ]
}

async fn seal_audit(engine: Engine, keys: Arc<KeySet>) -> Result<usize, Failure> {
    let sealed = audit::seal::seal(&engine.pool, &keys, &engine.sealer, engine.now()).await;
    match sealed {
        Ok(rows) => {
            tracing::debug!(rows, "audit rows were sealed");
            Ok(0)
        }
        Err(error) => {
            tracing::error!(%error, "the audit trail could not be sealed");
            Err(Failure::Internal)
        }
    }
}

async fn rotate_keys(oauth: OauthState) -> Result<usize, Failure> {
    oauth::rotate_old_keys(&oauth).await.map_err(|error| {
        tracing::error!(%error, "the signing keys could not be rotated");
        Failure::Internal
    })
}

/// Writes how many strangers were refused, once a minute and at the end.
async fn count_strangers(engine: Engine, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(20));
    loop {
        let at_the_end = tokio::select! {
            () = shutdown.cancelled() => true,
            _ = ticks.tick() => false,
        };
        if let Err(error) = engine.recorder.write_counts(engine.now(), at_the_end).await {
            tracing::error!(%error, "the number of refused strangers could not be written");
        }
        if at_the_end {
            return;
        }
    }
}

/// Keeps this process's sign of life up, so that its leases are respected while it lives and free when it dies.
async fn presence(engine: Engine, shutdown: CancellationToken) {
    let mut ticks = tokio::time::interval(Duration::from_secs(2));
    let mut announced: Option<Presence> = None;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let lives = match &mut announced {
            Some(presence) => presence.check().await.is_ok(),
            None => false,
        };
        if !lives {
            announced = match Presence::announce(&engine.pool, engine.process).await {
                Ok(presence) => Some(presence),
                Err(error) => {
                    tracing::warn!(%error, "this process cannot announce itself; its leases end with their time");
                    None
                }
            };
        }
    }
}

fn spawn<F, R>(
    name: &'static str,
    every: Duration,
    engine: &Engine,
    shutdown: &CancellationToken,
    work: F,
) -> JoinHandle<()>
where
    F: Fn(Engine) -> R + Send + 'static,
    R: Future<Output = Result<usize, Failure>> + Send,
{
    let (engine, shutdown) = (engine.clone(), shutdown.clone());
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = ticks.tick() => {}
            }
            match work(engine.clone()).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(worker = name, count, "done"),
                Err(failure) => tracing::warn!(worker = name, ?failure, "will be tried again"),
            }
        }
    })
}
