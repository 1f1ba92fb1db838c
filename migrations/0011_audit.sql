-- The audit trail tells of reads too and names patients; who serves requests can only add to it; auditors may read it.

alter table audit
  -- Ids of the patients whose record was shown or changed, or is referred to by what was.
  add column patients text[],
  -- The grant whose token was used.
  add column grant_id uuid,
  -- The network address the request came from.
  add column address text,
  -- Of a search: its parameters, without values that could be content of a record.
  add column query text,
  -- Of a search or history: how many resources or versions were shown.
  add column found integer;

-- Where the request of a waiting change came from, for its audit row.
alter table intent add column address text;

-- An auditor reads by patient, by app, by person and by resource. Without a list of pending entries: it would be emptied in some
-- request's time.
create index audit_patients on audit using gin (patients) with (fastupdate = off) where patients is not null;
create index audit_client on audit (client_id, seq) where client_id is not null;
create index audit_target on audit (target text_pattern_ops, seq) where target is not null;
create index audit_user on audit (user_id, seq) where user_id is not null;

-- Nobody empties it either.
create trigger audit_never_emptied before truncate on audit
  for each statement execute function audit_is_append_only();

-- Every so many rows are sealed: digest and signature are those of a chain, in which no row can be changed, removed or put
-- in between without notice.
create table audit_seal (
  -- 1, 2, 3, …
  number bigint primary key,
  -- The rows it seals are all of these numbers that there are.
  first_seq bigint not null,
  last_seq bigint not null,
  -- How many there are.
  rows bigint not null,
  -- The digest of the seal before this one; of zeros for the first.
  previous bytea not null,
  -- SHA-256 of the previous digest and of all rows, each as one line of JSON.
  digest bytea not null,
  -- The same as a signed JWT.
  jws text not null,
  -- The public key that it is signed with, as a JWK.
  public_key jsonb not null,
  -- The digest, encrypted with the master key: nobody makes it who can only write to the database.
  proof bytea not null,
  sealed_at timestamptz not null,
  check (first_seq <= last_seq)
);
create unique index audit_seal_last on audit_seal (last_seq);
create trigger audit_seal_append_only before update or delete on audit_seal
  for each statement execute function audit_is_append_only();
create trigger audit_seal_never_emptied before truncate on audit_seal
  for each statement execute function audit_is_append_only();

-- The owner of the tables, as which this program may connect, has no right to it either until it gives that to itself.
revoke update, delete, truncate on audit, audit_seal from current_user;
do $$
begin
  if exists (select from pg_roles where rolname = 'sofa_walled') then
    revoke update, delete, truncate on audit, audit_seal from sofa_walled;
  end if;
end
$$;

-- Rows are added by everybody, and seen by what acts for nobody in particular (sofa.wall = off: sealing, export) and by
-- auditors, who say whose rows they look at:
--   sofa.audit  all; a tenant; not set: none
alter table audit enable row level security, force row level security;
create policy append on audit for insert with check (true);
create policy wall on audit for select
  using ((select current_setting('sofa.wall')::boolean) is false
    or (select current_setting('sofa.audit', true) = 'all')
    or tenant = (select nullif(nullif(current_setting('sofa.audit', true), ''), 'all')::bigint));
