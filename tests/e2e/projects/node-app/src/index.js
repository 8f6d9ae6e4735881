exports.cart = require("./cart.js");
