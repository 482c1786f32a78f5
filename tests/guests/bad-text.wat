;; world: info-and-logger
;; Logs bytes that are no text.
(module
  (import "wharf:log/logger@0.1.0" "write" (func $write (param i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "\ff\fe\80")
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32)
    (call $write (i32.const 1) (i32.const 16) (i32.const 3))
    unreachable))
