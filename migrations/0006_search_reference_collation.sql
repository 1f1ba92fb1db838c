-- What a reference leads to is found by resource (tenant, type, id). Postgres uses an index only where both sides of a
-- comparison have its collation; with another one, an _include read every resource of a tenant.
alter table search_reference
  alter column target_type type text collate "default",
  alter column target_id type text collate "default";
analyze search_reference;
