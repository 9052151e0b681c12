// npm's splunk-logging sends three events in one batch, and one with a token that is not known: prints the replies as JSON.
// node logging.js URL TOKEN, with NODE_PATH at its node_modules.
"use strict";

const { Logger } = require("splunk-logging");

function send(url, token, messages) {
  const logger = new Logger({ url, token, maxBatchCount: 0 });
  logger.error = () => {};
  for (const message of messages) {
    logger.send({ message, severity: "info", metadata: { index: "main", sourcetype: "logging", source: "js", host: "node" } });
  }
  return new Promise((resolve) => logger.flush((error, response, body) => resolve({ status: response && response.statusCode, body })));
}

async function main([url, token]) {
  const taken = await send(url, token, [{ number: 0 }, { number: 1 }, "text"]);
  const refused = await send(url, "00000000-0000-4000-8000-000000000000", ["nobody's"]);
  console.log(JSON.stringify({ taken, refused }));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(error && error.stack ? error.stack : error);
  process.exit(1);
});
