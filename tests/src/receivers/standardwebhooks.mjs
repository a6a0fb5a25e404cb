// Verifies Standard Webhooks 1.0 with the standard library, where the package of npm is not installed.
import { createHmac, timingSafeEqual } from "node:crypto";

export class Webhook {
  constructor(secret) {
    this.key = Buffer.from(secret.replace(/^whsec_/, ""), "base64");
  }

  verify(body, headers) {
    const stamp = headers["webhook-timestamp"] ?? "";
    if (!/^\d+$/.test(stamp) || Math.abs(Date.now() / 1000 - Number(stamp)) > 300) throw new Error("the time");
    const expected = createHmac("sha256", this.key).update(`${headers["webhook-id"]}.${stamp}.${body}`).digest();
    for (const signature of (headers["webhook-signature"] ?? "").split(" ")) {
      const [version, text] = signature.split(",");
      const given = Buffer.from(text ?? "", "base64");
      if (version === "v1" && given.length === expected.length && timingSafeEqual(given, expected)) return;
    }
    throw new Error("the signature");
  }
}
