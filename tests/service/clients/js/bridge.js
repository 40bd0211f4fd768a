// Calls methods of @alicloud/fc2 as it is told: a JSON object a line in, one a line out.
//
// In: {"method", "arguments"}; out: {"headers", "data"} as the method's promise has it, or
// {"error": {"name", "code", "message"}} as it throws. A buffer is {"$base64": text} both ways, or,
// inwards, {"$zeros": count}. The first line in is what its constructor takes.
"use strict";

const readline = require("readline");
const FC = require("@alicloud/fc2");

function revived(value) {
  if (value === null || typeof value !== "object") return value;
  if (typeof value.$base64 === "string") return Buffer.from(value.$base64, "base64");
  if (typeof value.$zeros === "number") return Buffer.alloc(value.$zeros);
  if (Array.isArray(value)) return value.map(revived);
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, revived(item)]));
}

function told(value) {
  return Buffer.isBuffer(value) ? { $base64: value.toString("base64") } : value;
}

async function main() {
  let client;
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const order = JSON.parse(line);
    if (client === undefined) {
      client = new FC(order.account, order.config);
      continue;
    }
    let reply;
    try {
      const { headers, data } = await client[order.method](...revived(order.arguments));
      reply = { headers, data: told(data) };
    } catch (error) {
      reply = { error: { name: error.name, code: error.code, message: error.message } };
    }
    process.stdout.write(JSON.stringify(reply) + "\n");
  }
}

main().then(() => process.exit(0)); // its connections are kept alive, and would keep it
