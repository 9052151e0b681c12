// Standard Webhooks 1.0: the HMAC-SHA-256 of "id.timestamp.body", and a time that is near.
const crypto = require("crypto");
const { headers } = $input.item.json;
const { "webhook-id": id, "webhook-timestamp": at, "webhook-signature": signatures } = headers;
const body = await this.helpers.getBinaryDataBuffer(0, "data");
const secret = Buffer.from($env.WEBHOOK_SECRET.replace("whsec_", ""), "base64");
const mac = crypto.createHmac("sha256", secret).update(`${id}.${at}.`).update(body).digest();
const isMac = (given) => given.length === mac.length && crypto.timingSafeEqual(given, mac);
const isSigned = (signatures || "")
    .split(" ")
    .filter((one) => one.startsWith("v1,"))
    .some((one) => isMac(Buffer.from(one.slice(3), "base64")));
const isLong = secret.length >= 24;
const isNear = Math.abs(Date.now() / 1000 - Number(at)) < 300;
// The key is the id, which is signed. Both come last, so that no field of the body stands in their place.
return { json: { ...JSON.parse(body.toString()), believed: isLong && isSigned && isNear, key: id } };
