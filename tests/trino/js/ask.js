// Asks with Trino's JavaScript client and prints the rows, tab between cells: ask HOST:PORT SQL.
'use strict';

const { once } = require('events');
const { Trino } = require('trino-client');

async function ask(server, statement) {
  const trino = Trino.create({ server: `http://${server}`, extraHeaders: { 'X-Trino-User': 'article' } });
  const pages = await trino.query(statement);
  for (let page = await pages.next(); ; page = await pages.next()) {
    // The client leaves errors to its caller; a statement's first answer comes as the last page.
    if (page.value.error) {
      const { errorName, message } = page.value.error;
      throw new Error(`${errorName}: ${message}`);
    }
    if (page.done) {
      return;
    }
    const lines = (page.value.data ?? []).map((row) => `${row.join('\t')}\n`).join('');
    if (lines && !process.stdout.write(lines)) {
      await once(process.stdout, 'drain');
    }
  }
}

ask(process.argv[2], process.argv[3]).catch((why) => {
  console.error(why.message);
  process.exitCode = 1;
});
