-- What guards the doors: how often a sign-in failed, which browsers are known, how refresh tokens follow each other, and
-- how long signing keys are published.

-- Failed sign-ins are counted instead of kept: what strangers do takes no more room than there are subjects.
drop table login_attempt;

create table login_throttle (
    -- What is counted: 'account' (from browsers that are not known to the account), 'pair' (account and address together),
    -- 'browser' (account and known browser together) or 'address'.
    kind text not null check (kind in ('account', 'pair', 'browser', 'address')),
    -- SHA-256 of the account name, the network address, or both: none is kept in the clear.
    subject bytea not null,
    -- Failed sign-ins that have not been forgotten yet.
    failures integer not null,
    -- Up to when failures have been forgotten: one for each interval that passes.
    forgotten_until timestamptz not null,
    -- Before this nobody is let try.
    open_at timestamptz not null,
    -- One row per subject.
    primary key (kind, subject)
);

-- Sweeping out what is forgotten.
create index login_throttle_by_time on login_throttle (open_at);

-- Browsers in which a person has signed in before: whoever locks an account from elsewhere does not lock these.
create table known_browser (
    -- SHA-256 of the browser's cookie.
    digest bytea not null,
    -- Who has signed in there.
    user_id uuid not null references user_account (id) on delete cascade,
    -- When it stops being known.
    expires_at timestamptz not null,
    -- A browser may be known to several people, on a shared computer.
    primary key (digest, user_id)
);

-- Keeping the latest few of a person.
create index known_browser_by_user on known_browser (user_id, expires_at);
-- Sweeping out what has expired.
create index known_browser_by_expiry on known_browser (expires_at);

-- In which order the requests came: the oldest of a browser with too many goes first.
alter table login_request add column created bigint generated always as identity;

-- The requests of one browser.
create index login_request_by_browser on login_request (browser_digest, created);

-- The token this one was given for; null for the first of a grant. Several with one parent came of one token that was sent
-- again within the grace.
alter table refresh_token add column parent bytea;

-- The tokens that were given for one.
create index refresh_token_by_parent on refresh_token (parent) where parent is not null;

-- What the key signs with (RFC 7518).
alter table signing_key add column algorithm text not null default 'RS256' check (algorithm in ('RS256', 'ES384'));
-- Since when it signs; null while it waits.
alter table signing_key add column active_since timestamptz;
-- Until when a retired key is published and believed.
alter table signing_key add column published_until timestamptz;

update signing_key set active_since = created_at where state <> 'next';
update signing_key set published_until = retired_at + interval '48 hours' where state = 'retired';

-- One key of each algorithm signs, one waits.
drop index signing_key_one_of_a_state;
create unique index signing_key_one_of_a_state on signing_key (algorithm, state) where state <> 'retired';
