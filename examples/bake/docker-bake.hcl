# llbc build -f docker-bake.hcl, in this directory
variable "BASE" {
  default = "busybox"
}

target "word" {
  name    = "word-${kind}"
  matrix  = { kind = ["plain", "loud"] }
  context = "app"
  target  = kind
  args    = { BASE = BASE }
  output  = ["type=local,dest=out/${kind}"]
}

group "default" {
  targets = ["word"]
}
