-- A library as the sixth schema wrote it. Never edited: every later version must open it.
PRAGMA application_id = 1381452630;
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE imports (
            digest TEXT PRIMARY KEY,
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE
        ) WITHOUT ROWID;
INSERT INTO "imports" VALUES('00ff','t1');
CREATE TABLE initials (
            id TEXT PRIMARY KEY,
            kind TEXT NOT NULL DEFAULT 'tuned',
            file TEXT NOT NULL DEFAULT '',
            name TEXT NOT NULL DEFAULT '',
            model TEXT NOT NULL DEFAULT '',
            tier TEXT NOT NULL DEFAULT '',
            prefix TEXT NOT NULL DEFAULT '',
            length INTEGER NOT NULL DEFAULT 0,
            difference REAL,
            added REAL NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
INSERT INTO "initials" VALUES('i1','tuned','["i1.pth"]','Tuned elsewhere','','','',0,NULL,5.0);
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
            tail TEXT NOT NULL DEFAULT '', drawn BLOB,
            PRIMARY KEY (node, coding)
        ) WITHOUT ROWID;
INSERT INTO "node_tokens" VALUES('n2','world/classic',X'210000002D000000',NULL,'',NULL);
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
        , mode TEXT NOT NULL DEFAULT '', deleted REAL, bookmark TEXT, pinned INTEGER NOT NULL DEFAULT 0, fresh INTEGER NOT NULL DEFAULT 0, kind TEXT NOT NULL DEFAULT '', origin TEXT, rest TEXT NOT NULL DEFAULT '');
INSERT INTO "nodes" VALUES('n1','t1',NULL,'user','What is a state?','','complete','','',NULL,NULL,NULL,1.0,'',NULL,NULL,0,0,'',NULL,'');
INSERT INTO "nodes" VALUES('n2','t1','n1','assistant','A memory of fixed size.','What do they mean?','complete','','',7,NULL,NULL,2.0,'free',NULL,'here',0,0,'',NULL,'');
CREATE TABLE persona_states (
            persona TEXT NOT NULL REFERENCES personas (id) ON DELETE CASCADE,
            model TEXT NOT NULL,
            model_name TEXT NOT NULL DEFAULT '',
            tier TEXT NOT NULL DEFAULT '',
            coding TEXT NOT NULL DEFAULT '',
            adapter TEXT NOT NULL DEFAULT '',
            initial TEXT NOT NULL DEFAULT '',
            prefix TEXT NOT NULL DEFAULT '',
            tokens BLOB,
            lengths TEXT NOT NULL DEFAULT '[]',
            bytes INTEGER NOT NULL DEFAULT 0,
            made REAL NOT NULL DEFAULT 0,
            PRIMARY KEY (persona, model, tier, coding)
        ) WITHOUT ROWID;
INSERT INTO "persona_states" VALUES('p1','abc','one','fp32','world/classic','','','00ff',X'2100000022000000','[2]',100,4.0);
INSERT INTO "persona_states" VALUES('p2','','','','','','i1','',NULL,'[]',0,5.0);
CREATE TABLE personas (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            kind TEXT NOT NULL DEFAULT 'lived',
            description TEXT NOT NULL DEFAULT '',
            tags TEXT NOT NULL DEFAULT '[]',
            messages TEXT NOT NULL DEFAULT '[]',
            template TEXT NOT NULL DEFAULT '',
            mode TEXT NOT NULL DEFAULT '',
            sampling TEXT NOT NULL DEFAULT '{}',
            origin TEXT NOT NULL DEFAULT '',
            created REAL NOT NULL DEFAULT 0,
            used REAL
        ) WITHOUT ROWID;
INSERT INTO "personas" VALUES('p1','Memory','lived','A short one','["short"]','[{"role": "user", "text": "What is a state?", "reasoning": "", "mode": "", "kind": ""}]','','','{}','t1',4.0,NULL);
INSERT INTO "personas" VALUES('p2','Tuned elsewhere','tuned','','[]','[]','','','{}','',5.0,NULL);
CREATE TABLE readings (
            thread TEXT PRIMARY KEY REFERENCES threads (id) ON DELETE CASCADE,
            source TEXT NOT NULL DEFAULT '',
            digest TEXT NOT NULL DEFAULT '',
            passages INTEGER NOT NULL DEFAULT 0,
            tokens INTEGER NOT NULL DEFAULT 0,
            done INTEGER NOT NULL DEFAULT 0,
            paused INTEGER NOT NULL DEFAULT 0,
            finished REAL,
            begun REAL NOT NULL DEFAULT 0
        ) WITHOUT ROWID;
CREATE VIRTUAL TABLE search USING fts5 (text, marks, content='', prefix='2 3', tokenize='ascii');
INSERT INTO search (rowid, text, marks) VALUES (1000, 'what is a state ', 'r3505c800e347 t1ba62ac7acdc mddd9c40767f9');
INSERT INTO search (rowid, text, marks) VALUES (2000, 'a memory of fixed size ', 'r774b140e77fe t1ba62ac7acdc mddd9c40767f9');
CREATE TABLE search_docs (id INTEGER PRIMARY KEY, node TEXT NOT NULL UNIQUE, tree TEXT NOT NULL);
INSERT INTO "search_docs" VALUES(1000,'n1','t1');
INSERT INTO "search_docs" VALUES(2000,'n2','t1');
CREATE TABLE search_models (model TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT INTO "search_models" VALUES('');
CREATE TABLE steps (
            id INTEGER PRIMARY KEY,
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
            kind TEXT NOT NULL,
            before TEXT,
            after TEXT,
            branch TEXT,
            undone INTEGER NOT NULL DEFAULT 0,
            made REAL NOT NULL DEFAULT 0
        );
INSERT INTO "steps" VALUES(1,'t1','said',NULL,'n2',NULL,0,6.0);
CREATE TABLE thread_tags (
            thread TEXT NOT NULL REFERENCES threads (id) ON DELETE CASCADE,
            tag TEXT NOT NULL,
            PRIMARY KEY (thread, tag)
        ) WITHOUT ROWID;
INSERT INTO "thread_tags" VALUES('t1','kept');
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
        , chosen_template TEXT NOT NULL DEFAULT '', mode TEXT NOT NULL DEFAULT '', keep_reasoning INTEGER NOT NULL DEFAULT 0, persona TEXT NOT NULL DEFAULT '', initial TEXT NOT NULL DEFAULT '', sampling TEXT NOT NULL DEFAULT '', hold INTEGER NOT NULL DEFAULT 0, kind TEXT NOT NULL DEFAULT 'chat', pinned REAL, archived REAL, branched_from TEXT NOT NULL DEFAULT '');
INSERT INTO "threads" VALUES('t1','t1','States','n2','','classic',1.0,2.0,NULL,'bot','free',1,'p1','','{"temperature": 0.5}',1,'chat',6.0,NULL,'');
CREATE INDEX nodes_by_parent ON nodes (parent);
CREATE INDEX nodes_by_tree ON nodes (tree);
CREATE INDEX threads_by_tree ON threads (tree);
CREATE INDEX threads_by_time ON threads (updated, created) WHERE deleted IS NULL;
CREATE INDEX node_tokens_by_prefix ON node_tokens (prefix);
CREATE INDEX nodes_deleted ON nodes (deleted) WHERE deleted IS NOT NULL;
CREATE INDEX nodes_bookmarked ON nodes (tree) WHERE bookmark IS NOT NULL;
CREATE INDEX thread_tags_by_tag ON thread_tags (tag);
CREATE INDEX steps_by_thread ON steps (thread, undone, id);
CREATE INDEX threads_pinned ON threads (pinned) WHERE pinned IS NOT NULL;
COMMIT;
