-- Makes the roles of the journeys database; Postgres runs it once, as its superuser, when the volume is empty.
--
-- `journeys` owns the database and what is in it, and is no superuser: the migration job and retention log in as it.
-- `journeys_app` owns nothing: everything else does. What it may do to a table, `journeys migrate` grants.
\set owner_password `cat /run/secrets/owner_password`
\set application_password `cat /run/secrets/application_password`
CREATE ROLE journeys LOGIN PASSWORD :'owner_password';
CREATE ROLE journeys_app LOGIN PASSWORD :'application_password';
ALTER DATABASE journeys OWNER TO journeys;
REVOKE CONNECT, TEMPORARY ON DATABASE journeys FROM PUBLIC;
GRANT CONNECT ON DATABASE journeys TO journeys_app;
