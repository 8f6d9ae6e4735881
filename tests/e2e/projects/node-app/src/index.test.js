const test = require("node:test");
const assert = require("node:assert");
const { cart } = require("./index.js");

test("a cart is summed", () => {
  assert.strictEqual(cart.total([{ price: 150, count: 2 }, { price: 1, count: 1 }]), 301);
});
