// The sum of a cart, in cents.
exports.total = (items) => items.reduce((sum, item) => sum + item.price * item.count, 0);
