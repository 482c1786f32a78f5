;; world: info-and-log
;; Calls the host for ever: the host call budget must end it.
(module
  (import "wharf:clock/wall@0.1.0" "now-ms" (func $now (result i64)))
  (memory (export "memory") 1)
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32)
    (loop $again (drop (call $now)) (br $again))
    unreachable))
