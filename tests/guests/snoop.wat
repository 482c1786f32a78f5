;; world: info-and-odoo
;; Reads a user of Odoo. It traps in `denied` when it gets a fault, in `given` when it gets records.
(module
  (import "wharf:odoo/records@0.1.0" "read"
    (func $read (param i32 i32 i32 i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 1)
  (data (i32.const 16) "res.users")
  (data (i32.const 32) "\01\00\00\00\00\00\00\00")
  (global $free (mut i32) (i32.const 4096))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (local $at i32)
    (local.set $at (global.get $free))
    (global.set $free
      (i32.and (i32.add (i32.add (local.get $at) (local.get 3)) (i32.const 7)) (i32.const -8)))
    (local.get $at))
  (func $denied unreachable)
  (func $given unreachable)
  (func (export "wharf:adapter/info@0.1.0#describe") (result i32)
    (call $read
      (i32.const 16) (i32.const 9)
      (i32.const 32) (i32.const 1)
      (i32.const 0) (i32.const 0)
      (i32.const 0) (i32.const 0)
      (i32.const 1024))
    (if (i32.load8_u (i32.const 1024)) (then (call $denied)))
    (call $given)
    unreachable))
