//! Taking turns at checking passwords: each check costs 19 MiB and a core for tens of milliseconds, on purpose.
//!
//! One address may wait for half of the turns that there are at most, and one turn is kept for browsers in which the person
//! has signed in before: whoever keeps all others busy, from wherever, does not keep those out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::secret::Secret;
use crate::token::password;

/// Checks at one time.
const AT_ONCE: usize = 2;
/// Checks at one time, beyond those, for browsers in which the person has signed in before.
const FOR_THE_KNOWN: usize = 1;
/// So many people may wait at one address.
const WAITING_AT_ONE_ADDRESS: usize = 50;
/// How long a person waits for a turn.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Too many people are signing in at this moment.
#[derive(Debug, thiserror::Error)]
#[error("too many sign-ins at this moment")]
pub struct Busy;

/// Checks passwords, a few at a time.
#[derive(Clone)]
pub struct Checker {
    anyone: Arc<Semaphore>,
    known: Arc<Semaphore>,
    waiting: Arc<Waiting>,
    longest_wait: Duration,
}

/// Whose password is checked.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    pub network: IpAddr,
    /// The browser is one in which the person has signed in before.
    pub is_known: bool,
}

impl Checker {
    /// A checker with all its turns free.
    pub fn new() -> Self {
        Self {
            anyone: Arc::new(Semaphore::new(AT_ONCE)),
            known: Arc::new(Semaphore::new(FOR_THE_KNOWN)),
            waiting: Arc::default(),
            longest_wait: LONGEST_WAIT,
        }
    }

    /// Whether `password` is the one behind `stored`; without a hash `false`, after as long a time.
    pub async fn is_right(&self, asker: Asker, password: Secret<String>, stored: Option<String>) -> Result<bool, Busy> {
        let turn = self.turn(asker).await?;
        // A task of its own: a browser that hangs up must not free the turn while the check still runs.
        let check = tokio::spawn(async move {
            let _turn = turn;
            password::verify(password, stored).await
        });
        check.await.map_err(|_| Busy)
    }

    async fn turn(&self, asker: Asker) -> Result<OwnedSemaphorePermit, Busy> {
        let _place = match asker.is_known {
            true => None,
            false => Some(Place::take(&self.waiting, asker.network)?),
        };
        let of_anyone = Arc::clone(&self.anyone).acquire_owned();
        let turn = async {
            match asker.is_known {
                true => tokio::select! {
                    turn = Arc::clone(&self.known).acquire_owned() => turn,
                    turn = of_anyone => turn,
                },
                false => of_anyone.await,
            }
        };
        tokio::time::timeout(self.longest_wait, turn).await.map_err(|_| Busy)?.map_err(|_| Busy)
    }
}

/// How many wait at each address; an address at which nobody waits is not in it.
type Waiting = Mutex<HashMap<IpAddr, usize>>;

/// A place in the queue, given back when dropped.
struct Place<'a> {
    waiting: &'a Waiting,
    network: IpAddr,
}

impl<'a> Place<'a> {
    fn take(waiting: &'a Waiting, network: IpAddr) -> Result<Self, Busy> {
        let mut places = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = places.entry(network).or_insert(0);
        if *taken >= WAITING_AT_ONE_ADDRESS {
            return Err(Busy);
        }
        *taken += 1;
        Ok(Self { waiting, network })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut places = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = places.get_mut(&self.network) {
            *taken -= 1;
            if *taken == 0 {
                places.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use futures_util::future::join_all;

    use super::*;

    fn asker(last: u8, is_known: bool) -> Asker {
        Asker { network: IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)), is_known }
    }

    #[tokio::test]
    async fn a_known_browser_gets_its_turn_while_strangers_take_all_others() {
        let checker = Checker { longest_wait: Duration::from_millis(20), ..Checker::new() };
        let mut taken = Vec::new();
        for last in 0..2 {
            taken.push(checker.turn(asker(last, false)).await.unwrap());
        }
        assert!(checker.turn(asker(9, false)).await.is_err(), "all turns are taken");
        let known = checker.turn(asker(9, true)).await.unwrap();
        assert!(checker.turn(asker(9, true)).await.is_err(), "one of them at a time");
        drop(known);
        taken.push(checker.turn(asker(9, true)).await.unwrap());
    }

    #[tokio::test]
    async fn one_address_does_not_fill_the_queue() {
        let checker = Checker { longest_wait: Duration::from_millis(20), ..Checker::new() };
        let held = [checker.turn(asker(0, false)).await.unwrap(), checker.turn(asker(1, false)).await.unwrap()];
        let crowd = join_all((0..WAITING_AT_ONE_ADDRESS + 1).map(|_| checker.turn(asker(2, false))));
        let late = async {
            tokio::task::yield_now().await;
            assert!(Place::take(&checker.waiting, asker(2, false).network).is_err());
            assert!(Place::take(&checker.waiting, asker(3, false).network).is_ok());
        };
        let (crowd, ()) = tokio::join!(crowd, late);
        assert!(crowd.iter().all(Result::is_err));
        drop(held);
        assert!(checker.waiting.lock().unwrap().is_empty(), "places are given back");
    }
}
