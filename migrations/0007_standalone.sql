-- Consent, the pages between a sign-in and a code, launches that begin at the app, and what was asked of a grant.

-- Whether people are asked before the client acts for them: 'never', 'once' (again only for more) or 'always'.
alter table client add column consent text not null default 'once' check (consent in ('never', 'once', 'always'));
-- A point-of-care system is its users' own; a service has none.
update client set consent = 'never' where role <> 'app';
alter table client alter column consent drop default;

-- Forms that are open at this moment are of another shape: whoever holds one starts again.
delete from login_request;
alter table login_request
    -- The page that was shown last: a form of any other page does not work.
    add column step text not null check (step in ('sign-in', 'second-factor', 'continue', 'choose', 'consent', 'manage')),
    -- Who has signed in for it; null before that.
    add column user_id uuid references user_account (id) on delete cascade,
    -- SHA-256 of the session cookie that person got: the next form must come with it.
    add column session_digest bytea,
    -- What the person has said so far: that it is they, which patient, which scopes were listed.
    add column choice jsonb not null,
    -- A session is always somebody's.
    add constraint login_request_session_has_user check ((user_id is null) = (session_digest is null));

-- What a person has agreed to for a client, and what not, until they take it back.
create table consent (
    -- Who.
    user_id uuid not null references user_account (id) on delete cascade,
    -- For which client.
    client_id text not null references client (client_id) on delete cascade,
    -- The scopes agreed to, space-separated.
    scope text not null,
    -- The scopes that were declined, space-separated.
    refused text not null,
    -- When the person was first asked.
    given_at timestamptz not null,
    -- When the person last answered.
    changed_at timestamptz not null,
    -- One answer per person and client; also the lookup at authorization.
    primary key (user_id, client_id)
);

-- Removing a client's consents with it.
create index consent_by_client on consent (client_id);

alter table grant_row
    -- Bare id of the Patient that was picked at a standalone launch; null otherwise.
    add column patient text,
    -- Bare id of the Encounter that was picked with it.
    add column encounter text,
    -- The scope as the client asked for it, for whoever wonders what became of it; null for grants of before.
    add column asked text,
    -- Of what was asked and not granted, each scope with the reason in a word.
    add column withheld jsonb not null default '{}';

-- Finding the launches in which a person may pick a patient.
create index context_by_owner on context (owner_user) where cleared_at is null;
create index context_owner_by_identifier on context_owner (system, value);
-- Showing a person what a client holds, and ending it.
create index grant_row_of_client on grant_row (user_id, client_id) where revoked_at is null;
