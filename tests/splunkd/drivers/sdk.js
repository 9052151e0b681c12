// npm's splunk-sdk logs in, writes, searches in two ways, and keeps a secret: prints what it saw as JSON.
// node sdk.js HOST PORT USER PASSWORD, with NODE_PATH at its node_modules.
"use strict";

const splunkjs = require("splunk-sdk");

async function main([host, port, username, password]) {
  const service = new splunkjs.Service({ scheme: "http", host, port, username, password, version: "9.4" });
  await service.login();
  const info = await service.serverInfo();
  const seen = { version: info.properties().version };
  for (const number of [0, 1, 2]) {
    await service.log({ number }, { index: "main", sourcetype: "sdk", host: `h${number}` });
  }
  const search = "search index=main sourcetype=sdk";
  const oneshot = await service.oneshotSearch(`${search} | sort number | table number host`, {});
  seen.oneshot = { fields: oneshot.fields, rows: oneshot.rows };
  const job = await service.search(`${search} | stats count by host`, {});
  const done = await new Promise((resolve, reject) =>
    job.track({ period: 10 }, { done: resolve, failed: reject, error: reject }),
  );
  const [results] = await done.results({ count: 0 });
  seen.job = { rows: results.rows, count: done.properties().resultCount };
  const reply = await service.request(
    "search/v2/jobs/export", "POST", {}, { search, output_mode: "json" }, null, {}, 0,
  );
  seen.exported = reply.status;
  seen.refused = await service.search("search index=main | nonsense", {}).then(() => 0, (error) => error.status);
  await job.cancel();
  const store = service.storagePasswords();
  await store.create({ name: "name", realm: "realm", password: "s3cret" });
  seen.secrets = (await store.fetch()).list().map((one) => one.properties().clear_password);
  console.log(JSON.stringify(seen));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error && error.stack ? error.stack : JSON.stringify(error));
  process.exit(1);
});
