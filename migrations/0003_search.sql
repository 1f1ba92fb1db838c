-- Search: what every current version holds under its search parameters (FHIR R4 search.html), and the order in which
-- resources are found.

-- The order of creation: results are paged along it, for it never changes. Index rows name their resource by it.
alter table resource add column key bigint generated always as identity;
create unique index resource_key on resource (tenant, key);
-- A search of one type without a selective condition.
create index resource_type_key on resource (tenant, type, key);
-- _lastUpdated, and the history of a type.
create index resource_type_updated on resource (tenant, type, updated, key);
-- The history of everything.
create index resource_updated on resource (tenant, updated);
-- What a launch holds is few: its searches start here.
drop index resource_context;
create index resource_context on resource (context, type, key) where context is not null and not purged;
-- What a PoC holds.
create index resource_poc on resource (poc_client, type, key) where poc_client is not null and not purged;

-- The history of a type, of everything.
create index resource_history_type_updated on resource_history (tenant, type, updated);
create index resource_history_updated on resource_history (tenant, updated);

-- Tokens: one row for each way to ask for a value.
drop table search_token;
create table search_token (
  tenant bigint not null,
  -- resource.key
  key bigint not null,
  -- Of composites: which element of the resource.
  slot smallint not null,
  -- Parameter, system and code in one: the first 128 bits of a SHA-256.
  digest uuid not null,
  -- In the row that says that there is a value: the least code, for _sort.
  sort text collate "C"
);
-- A new version replaces its resource's rows.
create index search_token_key on search_token (tenant, key);
create index search_token_digest on search_token (tenant, digest, key);

-- Strings, URIs, and the texts behind tokens.
create table search_string (
  tenant bigint not null,
  key bigint not null,
  slot smallint not null,
  -- A number computed from type and code.
  parameter integer not null,
  -- Without case and accents.
  folded text collate "C" not null,
  -- As it stands in the resource.
  exact text collate "C" not null,
  -- The resource's least and greatest under this parameter, for _sort.
  is_least boolean not null,
  is_greatest boolean not null
);
create index search_string_key on search_string (tenant, key, parameter);
create index search_string_folded on search_string (tenant, parameter, folded, key);

-- Dates: [low, high) in microseconds since 1970.
create table search_time (
  tenant bigint not null,
  key bigint not null,
  slot smallint not null,
  parameter integer not null,
  low bigint not null,
  high bigint not null,
  is_least boolean not null,
  is_greatest boolean not null
);
create index search_time_key on search_time (tenant, key, parameter);
create index search_time_low on search_time (tenant, parameter, low, key);
create index search_time_high on search_time (tenant, parameter, high, key);

-- Numbers and quantities.
create table search_quantity (
  tenant bigint not null,
  key bigint not null,
  slot smallint not null,
  parameter integer not null,
  -- Equal unless it is a Range; an open end is an infinity.
  low numeric not null,
  high numeric not null,
  system text collate "C" not null,
  code text collate "C" not null,
  unit text collate "C" not null,
  is_least boolean not null,
  is_greatest boolean not null
);
create index search_quantity_key on search_quantity (tenant, key, parameter);
create index search_quantity_low on search_quantity (tenant, parameter, low, key);
create index search_quantity_high on search_quantity (tenant, parameter, high, key);

-- References: to a type and id of this server, or (with an empty type) to a URL.
create table search_reference (
  tenant bigint not null,
  key bigint not null,
  slot smallint not null,
  parameter integer not null,
  target_type text collate "C" not null,
  target_id text collate "C" not null
);
create index search_reference_key on search_reference (tenant, key, parameter);
create index search_reference_target on search_reference (tenant, target_id, target_type, parameter, key);

-- Words, for _text and _content.
create table search_text (
  tenant bigint not null,
  key bigint not null,
  narrative tsvector not null,
  content tsvector not null
);
create index search_text_key on search_text (tenant, key);
create index search_text_narrative on search_text using gin (narrative);
create index search_text_content on search_text using gin (content);

-- Which definition of each search parameter the index was made with: what differs from the loaded ones waits for
-- `sofa reindex`.
create table search_parameter (
  -- The number that stands in the rows.
  parameter integer primary key,
  type text not null,
  code text not null,
  -- SHA-256 of what decides about the rows: kind, expression, components.
  definition bytea not null
);

-- A run of `sofa reindex`, so that it can go on where it was stopped.
create table search_reindex (
  -- There is one at a time.
  id boolean primary key default true check (id),
  -- The definitions it applies: SHA-256 over all.
  definitions bytea not null,
  -- Every resource up to this one, in the order of (tenant, key), is done.
  tenant bigint not null,
  done bigint not null,
  started_at timestamptz not null,
  updated_at timestamptz not null
);

-- Queries of paging links that are too long for a URL.
create table search_page (
  -- SHA-256 of the sealed query.
  digest bytea primary key,
  sealed bytea not null,
  created_at timestamptz not null
);
create index search_page_created on search_page (created_at);

-- The distribution of these columns decides which index a search starts from.
alter table search_token alter column digest set statistics 1000;
alter table search_string alter column folded set statistics 500;
alter table search_reference alter column target_id set statistics 500;

-- Substring search (:contains) needs trigrams; without the extension it reads the parameter's own part of the index.
do $$
begin
  create extension if not exists pg_trgm;
  create index search_string_trigram on search_string using gin (folded gin_trgm_ops);
exception when others then
  raise notice 'without pg_trgm, :contains is slower: %', sqlerrm;
end
$$;
