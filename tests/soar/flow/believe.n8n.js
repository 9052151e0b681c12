// Standard Webhooks 1.0: the HMAC-SHA-256 of "id.timestamp.body", and a time that is near.
const crypto = require("crypto");
const { headers } = $input.item.json;
const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures } = headers;
const body = await this.helpers.getBinaryDataBuffer(0, "data");
const mac = crypto.createHmac("sha256", $env.WEBHOOK_SECRET).update(`${id}.${at}.`).update(body).digest();
const isMac = (given) => given.length === mac.length && crypto.timingSafeEqual(given, mac);
const isSigned = (signatures || "")
    .split(" ")
    .filter((one) => one.startsWith("v1,"))
    .some((one) => isMac(Buffer.from(one.slice(3), "base64")));
const isNear = Math.abs(Date.now() / 1000 - Number(at)) < 300;
return { json: { believed: isSigned && isNear, key: headers["idempotency-key"], ...JSON.parse(body.toString()) } };
