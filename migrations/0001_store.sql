-- Resources, contexts, Subscriptions and the write path.
-- Every row of a PoC's data names its tenant (the PoC's organisation) first; 0 is the jurisdiction's shared data.

-- A launch context: what one $set-context made.
create table context (
  -- Never leaves the server; the PoC and the app know the launchID only.
  id uuid primary key,
  -- The PoC's organisation.
  tenant bigint not null,
  -- The client that called $set-context: notifications go to its Subscriptions, only it may clear.
  poc_client text not null,
  -- SHA-256 of the launchID; the launchID itself is stored nowhere in the clear.
  launch_digest bytea not null,
  -- Only this client may use the launch; null = any app.
  app_id text,
  -- Bare id of the Patient in context.
  patient text,
  -- Bare id of the Encounter in context.
  encounter text,
  -- Further resources in context, each Type/id.
  fhir_context text[] not null default '{}',
  -- The launching user as Type/id, a Practitioner where one is known.
  fhir_user text,
  -- SMART launch values, as the PoC gave them.
  need_patient_banner boolean,
  intent text,
  smart_style_url text,
  launch_tenant text,
  -- The user who owns the launch, once known (the PoC's own user, or the first user who completed an authorization).
  owner_user uuid,
  -- Whether fhirUser was given: then the owner must match one of the identifiers below or fhir_user itself.
  owner_named boolean not null default false,
  created_at timestamptz not null,
  -- Cleared by the server at this moment at the latest.
  expires_at timestamptz not null,
  -- Cleared or expired; the row stays so that a later use answers 410.
  cleared_at timestamptz
);
-- /authorize and $clear-context look contexts up by launchID.
create unique index context_launch on context (launch_digest);
-- The expiry worker takes the oldest live contexts.
create index context_expiry on context (expires_at) where cleared_at is null;
-- A PoC token sees what its own live contexts hold.
create index context_poc on context (poc_client) where cleared_at is null;

-- Identifiers of the person named by fhirUser, copied so that /authorize reads no FHIR.
create table context_owner (
  context uuid not null references context on delete cascade,
  system text not null,
  value text not null,
  primary key (context, system, value)
);

-- The current version of every resource, deleted ones as a row without body.
create table resource (
  tenant bigint not null,
  type text not null,
  id text not null,
  -- From 1, +1 for each version.
  version bigint not null,
  updated timestamptz not null,
  -- How this version came about: POST, PUT or DELETE.
  method text not null,
  -- The context that owns it; null = not linked to a context.
  context uuid,
  -- The PoC client whose data it is; null = the jurisdiction's.
  poc_client text,
  -- Content removed by clear or expiry; only the ids remain, to answer 410.
  purged boolean not null default false,
  -- JSON text as it is answered, null when deleted.
  body text,
  primary key (tenant, type, id)
);
-- A clear finds everything of its context.
create index resource_context on resource (context) where context is not null and not purged;

-- Superseded versions; the current one stands in resource.
create table resource_history (
  tenant bigint not null,
  type text not null,
  id text not null,
  version bigint not null,
  updated timestamptz not null,
  method text not null,
  body text,
  primary key (tenant, type, id, version)
);

-- Resources of another context of the same PoC that a $set-context found by ifNoneExist: visible in this context too,
-- and handed over to it when their own context ends first.
create table context_link (
  context uuid not null references context on delete cascade,
  tenant bigint not null,
  type text not null,
  id text not null,
  primary key (context, tenant, type, id)
);
-- A clear asks who else links a resource.
create index context_link_target on context_link (tenant, type, id);

-- Token search values of current versions.
create table search_token (
  tenant bigint not null,
  type text not null,
  -- The search parameter: identifier.
  param text not null,
  -- Empty when the resource gives none.
  system text not null,
  value text not null,
  id text not null
);
-- If-None-Exist looks up by value, with or without system.
create index search_token_value on search_token (tenant, type, param, value, system, id);
-- A new version replaces its resource's rows.
create index search_token_owner on search_token (tenant, type, id);

-- The engine's view of a Subscription; the resource itself stands in resource, with masked headers.
create table subscription (
  tenant bigint not null,
  -- The Subscription's logical id.
  id text not null,
  -- The PoC client that made it: events of this client's contexts go here.
  client_id text not null,
  -- requested, active, error or off.
  status text not null,
  -- The parsed request (topic, filters, channel, payload, limits) as JSON, without headers.
  spec jsonb not null,
  -- channel.header, sealed.
  headers bytea,
  -- Why it is in error, for $status.
  error text,
  -- Subscription.end: not sent to after this.
  ends_at timestamptz,
  -- The highest event number given out.
  last_event bigint not null default 0,
  -- Which process delivers to it at present, until when; the epoch grows with each holder, so that a holder that lost
  -- its lease can be told apart from the present one.
  lease_owner uuid,
  lease_until timestamptz,
  lease_epoch bigint not null default 0,
  created_at timestamptz not null,
  -- Deleted Subscriptions keep their row until their events are gone.
  deleted_at timestamptz,
  primary key (tenant, id)
);
-- A write asks for the live Subscriptions of its context's PoC.
create index subscription_client on subscription (client_id) where deleted_at is null;

-- A durable, complete, final change set that waits for its PoC.
create table intent (
  id uuid primary key,
  -- The order of staging: intents that share a Subscription have their numbers in this order.
  seq bigint generated always as identity,
  tenant bigint not null,
  context uuid not null,
  -- The app's client, user and grant, for audit and for the liveness check at APPLY.
  client_id text not null,
  user_id uuid,
  grant_id uuid not null,
  request_id text,
  -- The process whose request waits for the end: without it, what was never sent is dropped.
  process uuid not null,
  -- staged: no byte has left; sending: bytes may have left.
  state text not null,
  created_at timestamptz not null,
  -- When waiting ends.
  deadline timestamptz not null
);

-- The changes of an intent, in order.
create table intent_change (
  intent uuid not null references intent on delete cascade,
  ord integer not null,
  tenant bigint not null,
  type text not null,
  id text not null,
  -- The version this change makes.
  version bigint not null,
  updated timestamptz not null,
  method text not null,
  -- null for a delete.
  body text,
  primary key (intent, ord)
);

-- Resource keys and conditions that an intent (or an ordinary transaction, for its own length) holds: two writers of
-- one key never both win.
create table write_lock (
  tenant bigint not null,
  -- Type/id, or Type?condition.
  key text not null,
  -- null: held by a transaction that has not ended. Deferred, because keys are taken before the intent is stored.
  intent uuid references intent on delete cascade deferrable initially deferred,
  primary key (tenant, key)
);
-- Ending an intent frees its keys.
create index write_lock_intent on write_lock (intent);

-- One event of one Subscription: a number and what happened under it.
create table event (
  tenant bigint not null,
  subscription text not null,
  number bigint not null,
  -- Stays when the intent is gone: a waiter looks for the outcome of its intent here.
  intent uuid not null,
  ord integer not null,
  context uuid not null,
  -- What changed.
  type text not null,
  id text not null,
  version bigint not null,
  method text not null,
  -- waiting, delivered, missed (committed, but this Subscription did not take it) or withdrawn (nothing happened).
  state text not null,
  -- Why it was withdrawn, for the request that waits at another replica; it may hold the PoC's own words, so it goes
  -- with a clear.
  reason jsonb,
  occurred_at timestamptz not null,
  -- Kept until then; null while the context lives.
  keep_until timestamptz,
  primary key (tenant, subscription, number)
);
-- Intents and contexts find their events.
create index event_intent on event (intent);
create index event_context on event (context);

-- The first answer to a $set-context with an Idempotency-Key, per PoC.
create table idempotency (
  client_id text not null,
  -- SHA-256 of the key.
  key_digest bytea not null,
  -- SHA-256 of the request body: another body under the same key is refused.
  request_digest bytea not null,
  context uuid not null,
  -- The sealed answer (it holds the launchID).
  answer bytea not null,
  created_at timestamptz not null,
  primary key (client_id, key_digest)
);

-- What happened, append-only; kept when a context is cleared.
create table audit (
  seq bigint generated always as identity primary key,
  at timestamptz not null,
  action text not null,
  -- success, refused or failed.
  outcome text not null,
  client_id text,
  user_id uuid,
  context uuid,
  tenant bigint not null,
  -- Type/id, with /_history/v where a version was made.
  target text,
  request_id text,
  detail text
);
-- An auditor reads by context and by time.
create index audit_context on audit (context) where context is not null;
create index audit_at on audit (at);

-- Append-only: no statement of this program changes or removes a row.
create function audit_is_append_only() returns trigger language plpgsql as $$
begin
  raise exception 'audit is append-only';
end $$;
create trigger audit_append_only before update or delete on audit
  for each statement execute function audit_is_append_only();

-- lz4 reads several times faster than Postgres's own compression; a portable build without it keeps its own.
do $$
begin
  alter table resource alter column body set compression lz4;
  alter table resource_history alter column body set compression lz4;
  alter table intent_change alter column body set compression lz4;
exception when feature_not_supported then null;
end
$$;
