-- The two roles of a suite with database.migrate = false: remit_owner makes schemas and tables (`remit migrate`), remit reads
-- and writes what is in them (the services), and can make, change or drop nothing.
--
--   OWNER_PASSWORD=… PASSWORD=… psql -v ON_ERROR_STOP=1 -f roles.sql postgres://postgres@db.example.com/postgres
--
-- To be run by a superuser, or by what a provider gives in its place; before the first migration, and again at any time: what is
-- there stays. What remit_owner makes later is granted as it is made, so that no migration needs more than itself. There are no
-- sequences and no functions.
\set owner_password `printf %s "$OWNER_PASSWORD"`
\set password `printf %s "$PASSWORD"`

SELECT 'CREATE ROLE ' || name || ' LOGIN'
FROM unnest(ARRAY['remit_owner', 'remit']) AS name
WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
ALTER ROLE remit_owner PASSWORD :'owner_password';
ALTER ROLE remit PASSWORD :'password';
SELECT 'CREATE DATABASE remit OWNER remit_owner'
WHERE 'remit' NOT IN (SELECT datname FROM pg_database) \gexec

\connect remit
ALTER DEFAULT PRIVILEGES FOR ROLE remit_owner GRANT USAGE ON SCHEMAS TO remit;
ALTER DEFAULT PRIVILEGES FOR ROLE remit_owner GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO remit;

-- Where tables were there before: the same for those.
SELECT format('GRANT USAGE ON SCHEMA %1$I TO remit; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %1$I TO remit', nspname)
FROM pg_namespace
WHERE nspname IN ('audit', 'registry', 'scoring', 'kpi', 'handoff', 'council', 'notify') \gexec
