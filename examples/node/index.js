console.log("hello from Node");
