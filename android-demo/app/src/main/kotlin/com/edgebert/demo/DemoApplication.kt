package com.edgebert.demo

import android.app.Application
import com.edgebert.runtime.Device
import com.edgebert.runtime.androidDevice

/** The app; a test has one of its own, with another clock. */
open class DemoApplication : Application() {
    /** What profiles are measured on. */
    open fun device(): Device = androidDevice(this)
}
