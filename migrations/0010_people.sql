-- People: one spelling of a name, sessions with an id and an end of their own, accounts that an upstream provider vouches
-- for, and second factors.

alter table user_account
    -- The name as it is compared and counted: compatibility forms and case folded, by the program, in one place only.
    add column canonical_name text,
    -- Where the account came from: made by an operator, or by the first sign-in through an upstream provider.
    add column source text not null default 'local' check (source in ('local', 'federated')),
    -- Whether the person has to choose another password before anything else.
    add column must_change boolean not null default false,
    -- Whether this person needs a second factor: as configured for all, in any case, or not at all.
    add column second_factor text not null default 'usual' check (second_factor in ('usual', 'required', 'off')),
    -- Null for people who sign in through an upstream provider only.
    alter column password_hash drop not null;

-- For names in plain ASCII this is what the program writes; another one is written by `sofa user set --name`.
update user_account set canonical_name = lower(name);
alter table user_account alter column canonical_name set not null;
drop index user_account_by_name;
-- Names are unique in that spelling; also the lookup at login.
create unique index user_account_by_canonical_name on user_account (canonical_name);

-- Whom an upstream provider knows a person as. The issuer and its subject are all that identifies (OpenID Connect Core 1.0
-- section 5.7): names and addresses there may pass to others.
create table upstream_identity (
    -- The provider's `iss`.
    issuer text not null,
    -- The provider's `sub`.
    subject text not null,
    -- Who that is here.
    user_id uuid not null references user_account (id) on delete cascade,
    -- The id of the provider in the configuration file, when it was linked.
    provider text not null,
    -- When the person first came through it.
    first_seen timestamptz not null,
    -- When the person last did.
    last_seen timestamptz not null,
    -- One person here for one there.
    primary key (issuer, subject)
);

-- The identities of a person.
create index upstream_identity_by_user on upstream_identity (user_id);

-- Browsers on their way to an upstream provider and back.
create table upstream_login (
    -- SHA-256 of the `state` that travels along.
    state_digest bytea primary key,
    -- SHA-256 of the cookie of the browser that was sent: no other one may come back.
    browser_digest bytea not null,
    -- The provider it was sent to: an answer of another one is refused.
    provider text not null,
    -- The sign-in form that waits, the nonce and the PKCE verifier, sealed for the purpose upstream_login.<state_digest>.
    sealed bytea not null,
    -- When it is too late to come back.
    expires_at timestamptz not null
);

-- Sweeping out what has expired.
create index upstream_login_by_expiry on upstream_login (expires_at);

-- Logout tokens of upstream providers that were taken once: the same `jti` is refused until it would have expired anyway.
create table upstream_logout_seen (
    -- The provider's `iss`.
    issuer text not null,
    -- SHA-256 of the token's `jti`.
    jti_digest bytea not null,
    -- When the token expires, the allowance for clock differences included.
    expires_at timestamptz not null,
    -- The insert that fails here is the replay.
    primary key (issuer, jti_digest)
);

-- Sweeping out what has expired.
create index upstream_logout_seen_by_expiry on upstream_logout_seen (expires_at);

alter table login_session
    -- The `sid` of ID tokens; it stays the same when its person signs in again, while the cookie changes.
    add column id uuid,
    -- When the browser last showed a page here: after too long a time it must ask again.
    add column last_seen timestamptz,
    -- The upstream provider that vouched for the person; null for a local sign-in.
    add column provider text,
    -- The provider's `iss`, `sub` and, if it has one, `sid` of that sign-in.
    add column upstream_issuer text,
    add column upstream_subject text,
    add column upstream_sid text,
    -- The provider's ID token, to sign out there too, sealed for the purpose login_session.<id>.
    add column sealed_id_token bytea,
    add constraint login_session_upstream_is_whole check (
        (provider is null) = (upstream_issuer is null) and (provider is null) = (upstream_subject is null)
        and (provider is not null or (upstream_sid is null and sealed_id_token is null)));

update login_session set id = gen_random_uuid(), last_seen = created_at;
alter table login_session alter column id set not null, alter column last_seen set not null;
create unique index login_session_by_id on login_session (id);
-- Ending the sessions of a person.
create index login_session_by_user on login_session (user_id);
-- Ending the sessions that a provider says have ended.
create index login_session_by_upstream on login_session (upstream_issuer, upstream_subject) where upstream_issuer is not null;

alter table grant_row
    -- The browser session in which it was granted; null for client_credentials. No foreign key: it is told to clients as
    -- `sid` after the session has ended.
    add column session_id uuid,
    -- Whether it can be renewed only while that session lasts (online_access without offline_access).
    add column only_online boolean not null default false;

update grant_row set only_online = true where session_digest is not null;
update grant_row g set session_id = s.id from login_session s where s.digest = g.session_digest;
alter table grant_row drop column session_digest;
-- Ending what was granted in a session, and finding whom to tell.
create index grant_row_by_session on grant_row (session_id) where session_id is not null;

-- The second factor of a person: a shared secret for one-time passwords (RFC 6238).
create table second_factor (
    -- Whose it is.
    user_id uuid primary key references user_account (id) on delete cascade,
    -- The secret, sealed for the purpose second_factor.<user_id>.
    sealed_secret bytea not null,
    -- When the person showed that their device has it.
    confirmed_at timestamptz not null,
    -- The time step of the last password that was taken: neither it nor an earlier one is taken again.
    last_step bigint not null
);

-- For people whose device is lost: each code is good once.
create table recovery_code (
    -- Whose it is.
    user_id uuid not null references user_account (id) on delete cascade,
    -- SHA-256 of the code.
    digest bytea not null,
    -- When it was used, if it was.
    used_at timestamptz,
    primary key (user_id, digest)
);

-- The pages of the second factor, of a new password and of signing out.
alter table login_request drop constraint login_request_step_check;
alter table login_request add constraint login_request_step_check check (step in
    ('sign-in', 'second-factor', 'enrol', 'password', 'continue', 'choose', 'consent', 'manage', 'logout'));
