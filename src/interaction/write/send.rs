//! DELIVER, the outward side: one notification to one Subscription, until an answer or the time is up.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;

use super::deliver::Loaded;
use crate::{
    id,
    interaction::Engine,
    store::intent::Subscriber,
    subscription::{
        channel::rest_hook::{self, Target},
        delivery::Delivery,
        header::Headers,
        notification::{self, About, Event},
        request::Spec,
    },
};

/// Tells `subscriber` of its events in `batch`, all in one notification.
///
/// A line that broke after bytes were sent is tried again with the same numbers and content, until the Subscription's
/// time (`backport-timeout`, capped by `delivery.timeout`) is up: only then nobody can know.
pub(super) async fn send(engine: &Engine, subscriber: &Subscriber, batch: &[&Loaded]) -> Delivery {
    let spec = match Spec::stored(&subscriber.spec) {
        Ok(spec) => spec,
        Err(error) => return Delivery::NeverSent { reason: error.to_string() },
    };
    if !subscriber.active {
        let text = "the Subscription is not active any more".to_owned();
        return Delivery::Refused { status: 503, text: Some(text) };
    }
    let sealed = subscriber.headers.as_deref();
    let Some(headers) = Headers::stored(&engine.sealer, subscriber.tenant, &subscriber.id, sealed) else {
        return Delivery::NeverSent { reason: "the Subscription's headers cannot be opened".to_owned() };
    };
    let target = Target::new(&spec, &headers);
    let events: Vec<Event<'_>> = batch.iter().flat_map(|loaded| loaded.events_for(&subscriber.id)).collect();
    let about = About {
        base: &engine.base,
        subscription: &subscriber.id,
        topic: &spec.topic,
        content: spec.content,
        last_event: subscriber.last_event,
        now: engine.now(),
        notification: id::new_uuid(),
    };
    let body = notification::event_notification(&about, &events);
    let body = match notification::in_format(body, spec.format(), &engine.limits()) {
        Ok(body) => body,
        // No attempt would succeed, so the change is refused, as by the PoC itself.
        Err(not) => return Delivery::Refused { status: 422, text: Some(not.to_string()) },
    };
    let time = spec.timeout(engine.config.delivery.timeout);
    let deadline = Instant::now() + time;
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_millis(500))
        .without_max_times()
        .build();
    let mut unknown = None;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let result = rest_hook::send(&engine.outbound, &target, body.clone(), left).await;
        match result {
            Delivery::Unknown { reason } => unknown = Some(reason),
            // After a first attempt that may have arrived, "not sent now" does not mean "never".
            Delivery::NeverSent { .. } if unknown.is_some() => {}
            known => return known,
        }
        let pause = pauses.next().unwrap_or_default();
        if Instant::now() + pause >= deadline {
            return Delivery::Unknown { reason: unknown.unwrap_or_default() };
        }
        tokio::time::sleep(pause).await;
    }
}
