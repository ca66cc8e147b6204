-- A library as the fourth schema wrote it. Never edited: every later version must open it.
PRAGMA application_id = 1381452630;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE imports (
            digest TEXT PRIMARY KEY,
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE
        ) WITHOUT ROWID;
INSERT INTO "imports" VALUES('00ff','t1');
CREATE TABLE models (
            path TEXT PRIMARY KEY,
            source TEXT NOT NULL DEFAULT '',
            id TEXT NOT NULL DEFAULT '',
            format TEXT NOT NULL DEFAULT '',
            spec TEXT NOT NULL DEFAULT '',
            bytes INTEGER NOT NULL DEFAULT 0,
            mark TEXT NOT NULL DEFAULT '',
            offer TEXT NOT NULL DEFAULT '',
            checked TEXT NOT NULL DEFAULT '',
            family TEXT NOT NULL DEFAULT '',
            template TEXT NOT NULL DEFAULT '',
            added REAL NOT NULL DEFAULT 0,
            verified REAL
        ) WITHOUT ROWID;
INSERT INTO "models" VALUES('/models/one.pth','import','abc','pth','',0,'','','','','',3.0,NULL);
CREATE TABLE node_tokens (
            node TEXT NOT NULL REFERENCES nodes (id) ON DELETE CASCADE,
            coding TEXT NOT NULL,
            tokens BLOB NOT NULL,
            prefix TEXT,
            tail TEXT NOT NULL DEFAULT '',
            PRIMARY KEY (node, coding)
        ) WITHOUT ROWID;
INSERT INTO "node_tokens" VALUES('n2','world/classic',X'210000002D000000',NULL,'');
CREATE TABLE nodes (
            id TEXT PRIMARY KEY,
            tree TEXT NOT NULL,
            parent TEXT REFERENCES nodes (id),
            role TEXT NOT NULL,
            text TEXT NOT NULL DEFAULT '',
            reasoning TEXT NOT NULL DEFAULT '',
            status TEXT NOT NULL DEFAULT 'complete',
            model TEXT NOT NULL DEFAULT '',
            template TEXT NOT NULL DEFAULT '',
            seed INTEGER,
            params TEXT,
            usage TEXT,
            created REAL NOT NULL DEFAULT 0
        , mode TEXT NOT NULL DEFAULT '');
INSERT INTO "nodes" VALUES('n1','t1',NULL,'user','What is a state?','','complete','','',NULL,NULL,NULL,1.0,'');
INSERT INTO "nodes" VALUES('n2','t1','n1','assistant','A memory of fixed size.','What do they mean?','complete','','',7,NULL,NULL,2.0,'free');
CREATE VIRTUAL TABLE search USING fts5 (text, marks, content='', prefix='2 3', tokenize='ascii');
INSERT INTO search (rowid, text, marks) VALUES (1000, 'what is a state ', 'r3505c800e347 t1ba62ac7acdc mddd9c40767f9');
INSERT INTO search (rowid, text, marks) VALUES (2000, 'a memory of fixed size ', 'r774b140e77fe t1ba62ac7acdc mddd9c40767f9');
CREATE TABLE search_docs (id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, tree TEXT NOT NULL);
INSERT INTO "search_docs" VALUES(1000,'n1','t1');
INSERT INTO "search_docs" VALUES(2000,'n2','t1');
CREATE TABLE search_models (model TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO "search_models" VALUES('');
CREATE TABLE threads (
            id TEXT PRIMARY KEY,
            tree TEXT NOT NULL,
            title TEXT NOT NULL DEFAULT '',
            tip TEXT REFERENCES nodes (id),
            model TEXT NOT NULL DEFAULT '',
            template TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL DEFAULT 0,
            updated REAL NOT NULL DEFAULT 0,
            deleted REAL
        , chosen_template TEXT NOT NULL DEFAULT '', mode TEXT NOT NULL DEFAULT '', keep_reasoning INTEGER NOT NULL DEFAULT 0);
INSERT INTO "threads" VALUES('t1','t1','States','n2','','classic',1.0,2.0,NULL,'bot','free',1);
CREATE INDEX nodes_by_parent ON nodes (parent);
CREATE INDEX nodes_by_tree ON nodes (tree);
CREATE INDEX threads_by_tree ON threads (tree);
CREATE INDEX threads_by_time ON threads (updated, created) WHERE deleted IS NULL;
COMMIT;
