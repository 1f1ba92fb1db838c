-- The second wall: Postgres itself shows a transaction only the resources of the caller it acts for, so that a mistake in
-- a statement's conditions shows nobody else's.
--
-- For whom a transaction acts it says in four settings, all of them until its end (store::wall):
--   sofa.wall     on; off: it sees and writes everything
--   sofa.tenant   whose rows it may write; -1: none
--   sofa.context  the launch context whose rows it sees; of zeros: none
--   sofa.client   the PoC whose rows it sees; empty: none
-- Where they were not said, or not any more, a statement on these tables fails: no mistake goes unnoticed as an absence of
-- data.
--
-- A later migration that looks at rows of these tables first says: set local sofa.wall = off.

-- Whether the caller's context links a resource of another one. In plpgsql, so that no search has to plan it.
create function is_linked(of_tenant bigint, of_type text, of_id text) returns boolean
language plpgsql stable parallel safe as $$
begin
  return exists (select 1 from context_link l where l.context = current_setting('sofa.context')::uuid
    and l.tenant = of_tenant and l.type = of_type and l.id = of_id);
end
$$;

-- Whether an id is used in a tenant, seen or not: the one question that is answered across the wall.
create function is_taken(of_tenant bigint, of_type text, of_id text) returns boolean language plpgsql as $$
declare
  wall constant text := current_setting('sofa.wall');
  taken boolean;
begin
  perform set_config('sofa.wall', 'off', true);
  taken := exists (select 1 from resource r where r.tenant = of_tenant and r.type = of_type and r.id = of_id);
  perform set_config('sofa.wall', wall, true);
  return taken;
end
$$;

-- Forced: the owner of the tables, as which this program usually connects, stands behind the wall as well.
alter table resource enable row level security, force row level security;
alter table resource_history enable row level security, force row level security;
alter table intent_change enable row level security, force row level security;

create policy wall on resource
  -- Everything; what is shared; what the context holds; what the PoC keeps; what the context links. Each setting is asked for
  -- in a select of its own, so once in a statement and not for each row, and the first one always: 'tenant = 0' would be
  -- seen to be implied by conditions of statements, and then nothing be asked.
  using ((select current_setting('sofa.wall')::boolean) is false
    or tenant is not distinct from 0
    or context = (select current_setting('sofa.context')::uuid)
    or poc_client = (select nullif(current_setting('sofa.client'), ''))
    or is_linked(tenant, type, id))
  -- Only what is of the caller's own tenant is written: what is shared by those only whose tenant is 0.
  with check (not current_setting('sofa.wall')::boolean
    or tenant = current_setting('sofa.tenant')::bigint
      and (tenant = 0
        or context = current_setting('sofa.context')::uuid
        or poc_client = nullif(current_setting('sofa.client'), '')
        or is_linked(tenant, type, id)));

-- A superseded version is seen where its resource is.
create policy wall on resource_history
  using ((select current_setting('sofa.wall')::boolean) is false
    or tenant is not distinct from 0
    or exists (select 1 from resource r where r.tenant = resource_history.tenant and r.type = resource_history.type
      and r.id = resource_history.id))
  with check (not current_setting('sofa.wall')::boolean
    or tenant = current_setting('sofa.tenant')::bigint
      and exists (select 1 from resource r where r.tenant = resource_history.tenant and r.type = resource_history.type
        and r.id = resource_history.id));

-- A waiting change is the launch's that asked for it.
create policy wall on intent_change
  using ((select current_setting('sofa.wall')::boolean) is false
    or exists (select 1 from intent i where i.id = intent_change.intent
      and i.context = (select current_setting('sofa.context')::uuid)));

-- Rows are removed by clearing and expiry alone, which see everything.
create policy wall_of_removal on resource as restrictive for delete using (not current_setting('sofa.wall')::boolean);
create policy wall_of_removal on resource_history as restrictive for delete
  using (not current_setting('sofa.wall')::boolean);
