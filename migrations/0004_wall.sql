-- The second wall: Postgres itself shows a transaction only the resources of the caller it acts for, so that a mistake in
-- a statement's conditions shows nobody else's. store::wall tells how a transaction says for whom it acts.
--
-- A later migration that looks at rows of these tables first says: set local sofa.wall = '{"all": true}'.

-- One part of the wall that this transaction stands behind: all, tenant, context or client; null: not for it. Fails where
-- none was said.
create function sofa_wall(part text) returns text language sql stable parallel safe as $$
  select current_setting('sofa.wall')::json ->> part
$$;

-- Whether an id is used in a tenant, seen or not: the one question that is answered across the wall.
create function resource_is_taken(of_tenant bigint, of_type text, of_id text) returns boolean language plpgsql as $$
declare
  wall constant text := current_setting('sofa.wall');
  taken boolean;
begin
  perform set_config('sofa.wall', '{"all": true}', true);
  taken := exists (select 1 from resource r where r.tenant = of_tenant and r.type = of_type and r.id = of_id);
  perform set_config('sofa.wall', wall, true);
  return taken;
end
$$;

-- Forced: the owner of the tables, which this program usually connects as, is behind the wall as well.
alter table resource enable row level security, force row level security;
alter table resource_history enable row level security, force row level security;
alter table intent_change enable row level security, force row level security;

-- Each part stands in a select of its own: it is asked for once in a statement, not for each row. The first is always
-- asked for, so nothing is seen where no wall was said.
create policy wall on resource
  -- Everything; what is shared; what the context holds; what the PoC keeps; what the context links.
  using ((select sofa_wall('all')::boolean)
    or tenant = 0
    or context = (select sofa_wall('context')::uuid)
    or poc_client = (select sofa_wall('client'))
    or exists (select 1 from context_link l where l.context = (select sofa_wall('context')::uuid)
      and l.tenant = resource.tenant and l.type = resource.type and l.id = resource.id))
  -- Only what is of the caller's own tenant is written: what is shared by those only whose tenant is 0.
  with check ((select sofa_wall('all')::boolean)
    or tenant = (select sofa_wall('tenant')::bigint)
      and (tenant = 0
        or context = (select sofa_wall('context')::uuid)
        or poc_client = (select sofa_wall('client'))
        or exists (select 1 from context_link l where l.context = (select sofa_wall('context')::uuid)
          and l.tenant = resource.tenant and l.type = resource.type and l.id = resource.id)));

-- A superseded version is seen where its resource is.
create policy wall on resource_history
  using ((select sofa_wall('all')::boolean)
    or exists (select 1 from resource r where r.tenant = resource_history.tenant and r.type = resource_history.type
      and r.id = resource_history.id))
  with check ((select sofa_wall('all')::boolean)
    or tenant = (select sofa_wall('tenant')::bigint)
      and exists (select 1 from resource r where r.tenant = resource_history.tenant and r.type = resource_history.type
        and r.id = resource_history.id));

-- A waiting change is the launch's that asked for it.
create policy wall on intent_change
  using ((select sofa_wall('all')::boolean)
    or exists (select 1 from intent i where i.id = intent_change.intent and i.context = (select sofa_wall('context')::uuid)));

-- Rows are removed by clearing and expiry alone, which see everything.
create policy wall_of_removal on resource as restrictive for delete using ((select sofa_wall('all')::boolean));
create policy wall_of_removal on resource_history as restrictive for delete using ((select sofa_wall('all')::boolean));
